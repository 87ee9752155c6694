# mandrill-worker@save.service. All options: mandrill-worker --help; the format: man mandrill.zpl
# Everybody on the machine can read this file: no password belongs into it.
kind = save-sqlite

# In the working directory, /var/lib/mandrill/worker-save. One worker for each file.
database = saved.db

# Or into PostgreSQL, instead of the two above. The unit's user owns no file, so systemd hands the password to it:
# `systemctl edit mandrill-worker@save` with
#   [Service]
#   LoadCredential=postgres:/etc/mandrill/postgres.password
# where that file is root's alone (mode 0600). After a change of it: systemctl restart mandrill-worker@save
#kind = save-postgres
#postgres = postgresql://mandrill@db.example.org/requests
#postgres-password-file = /run/credentials/mandrill-worker@save.service/postgres

#consumer = tcp://127.0.0.1:5556
