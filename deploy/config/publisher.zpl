# mandrill-publisher.service. All options: mandrill-publisher --help; the format: man mandrill.zpl
# After a change: systemctl reload mandrill-publisher (options marked SIGHUP), or restart.

# In the working directory, /var/lib/mandrill/publisher. It is to be on a local disk that keeps what fsync has promised.
outbox = outbox.db

# Where consumers and clients connect. For other machines: "tcp://*:5555". Nobody is authenticated, so only in a trusted network.
#listen = tcp://127.0.0.1:5555
#clients = tcp://127.0.0.1:5557

#domain = example.net
#outbox-max = 10G
