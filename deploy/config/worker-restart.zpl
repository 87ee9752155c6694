# mandrill-worker@restart.service. All options: mandrill-worker --help; the format: man mandrill.zpl
# For more workers: a copy or a link worker-NAME.zpl, and mandrill-worker@NAME.service.
kind = restart-simulate

# Or containers of this machine, instead of the line above: those that a rule names, and no others. The unit's user needs the socket's
# group: `systemctl edit mandrill-worker@restart` with
#   [Service]
#   SupplementaryGroups=docker
# Whoever has that group is root on this machine.
#kind = restart-docker
#docker-allow = web-*
#docker-allow-label = net.example.restart=yes
#docker-stop-timeout = 10s

# Or hosts that a server restarts, asked over HTTPS. Keep the token out of this file (man mandrill-worker, A PASSWORD UNDER SYSTEMD).
#kind = restart-http
#http-url = https://fleet.example.org/hosts/{host}/restart
#http-observe = https://fleet.example.org/hosts/{host}/boot
#http-token-file = /run/credentials/mandrill-worker@restart.service/token

# Of whatever restarts something real:
#min-uptime = 0
#dry-run = true
#deny-host = db-*

# Or hosts by a command for each (man mandrill-worker, RESTARTING BY A COMMAND). Restarts then take minutes: the consumer needs
# `limit = restart=12m` and `limit-hard = restart=13m` in consumer.zpl.
#kind = restart-exec
#exec = "ssh -o BatchMode=yes {host} sudo systemctl reboot"
#exec-observe = "ssh -o BatchMode=yes {host} cat /proc/sys/kernel/random/boot_id /proc/uptime"
#exec-exit = 3=permanent

#consumer = tcp://127.0.0.1:5556
#simulate = 0..1000
