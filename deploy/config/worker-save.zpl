# mandrill-worker@save.service. All options: mandrill-worker --help; the format: man mandrill.zpl
kind = save-sqlite

# In the working directory, /var/lib/mandrill/worker-save. One worker for each file.
database = saved.db

#consumer = tcp://127.0.0.1:5556
