# mandrill-consumer.service. All options: mandrill-consumer --help; the format: man mandrill.zpl
# After a change: systemctl reload mandrill-consumer (options marked SIGHUP), or restart.

#publisher = tcp://127.0.0.1:5555
#listen = tcp://127.0.0.1:5556
#control = tcp://127.0.0.1:5558

# How often a task is tried, and how long it may take: for all legs, and for one.
#max-tries = 5,restart=3
# Real hosts need more: what --grant, --act-timeout and --return-timeout of their workers are together, twice.
#limit = 30s,restart=2m
#limit-hard = 60s,restart=3m
