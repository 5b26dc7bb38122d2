#!/bin/sh
# Logins and topic permissions of a fleet on RabbitMQ (4.0 or later for MQTT 5; older ones support only 3.1.1):
#   rabbitmq-plugins enable rabbitmq_mqtt
#   sh setup.sh host edge-1 /root/edge-1.password
#   sh setup.sh viewer|operator|ci NAME PASSWORD-FILE
# Each host logs in with its own name. Run it again to set the password and the permissions again.
set -eu
role=$1 name=$2 password=$(cat "$3")
prefix=${PREFIX:-fairlead} fleet=${FLEET:-default} vhost=${VHOST:-/}

# RabbitMQ writes the `/` of an MQTT topic as `.`, and matches the result with a regular expression.
quoted() { printf %s "$1" | sed 's/[][\\.^$*+?(){}|]/\\&/g'; }
top="^$(quoted "$prefix")\\.$(quoted "$fleet")"
host=$(quoted "$name")

case $role in
host)
  own="\\.hosts\\.$host\\.(presence(\\.ask|\\.answers)?"
  write="$top(\\.index\\.[0-9a-f][0-9a-f]\\.$host|$own|status|resources|history|metrics|events)|\\.replies\\..+)\$"
  # `fairlead doctor` tests on presence/+ whether this broker sends retained messages to wildcard subscriptions.
  read="$top($own|presence\\.\\*|commands)|\\.refs\\..+|\\.commands)\$"
  ;;
ci)
  write="$top\\.refs\\..+\$"
  read=$write
  ;;
viewer)
  write="$top\\.replies(\\..+)?\$"
  read="$top\\.(index|hosts|refs|replies)(\\..+)?\$"
  ;;
operator)
  write="$top\\.((index|hosts|refs|replies)(\\..+)?|commands)\$"
  read=$write
  ;;
*)
  echo "setup.sh: no such role: $role; give host, ci, viewer or operator" >&2
  exit 64
  ;;
esac

rabbitmqctl add_user "$name" "$password" 2>/dev/null || rabbitmqctl change_password "$name" "$password"
# Queues of the login's own subscriptions, and the exchange of all MQTT topics.
mine='^mqtt-(subscription-|will-)'
rabbitmqctl set_permissions -p "$vhost" "$name" "$mine" "$mine|^amq\\.topic\$" "$mine|^amq\\.topic\$"
rabbitmqctl set_topic_permissions -p "$vhost" "$name" amq.topic "$write" "$read"
