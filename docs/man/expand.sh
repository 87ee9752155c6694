#!/bin/sh
# A page of the manual as scdoc wants it, with the parts that pages share put in: expand.sh PAGE.scd
set -eu
cd "$(dirname "$1")"
exec sed -e '/^@common@$/{r common.scdi' -e 'd}' -e '/^@service@$/{r service.scdi' -e 'd}' "$(basename "$1")"
