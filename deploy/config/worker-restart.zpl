# mandrill-worker@restart.service. All options: mandrill-worker --help; the format: man mandrill.zpl
# For more workers: a copy or a link worker-NAME.zpl, and mandrill-worker@NAME.service.
kind = restart-simulate

#consumer = tcp://127.0.0.1:5556
#simulate = 0..1000
