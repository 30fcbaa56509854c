#!/bin/sh
# An inventory that is a program: it has an executable bit, and what it prints is the inventory, as TOML or
# JSON. Here the hosts come from a list; they could come from a database or a cloud just as well.
#
#   fleetadm inventory show -i inventories/from-a-list.sh
#
# It is run without arguments and input, and has 30 seconds. When it fails, the last line of its standard
# error is shown. Relative paths in what it prints start at its directory.
set -eu

cat <<'END'
[cluster]
kubernetes_version = "1.36.2"

[ssh]
user = "ops"
become = "sudo"
END

while IFS=, read -r name address role rack; do
	cat <<-END

	[[hosts]]
	name = "$name"
	address = "$address"
	role = "$role"
	labels = { "example.com/rack" = "$rack" }
	END
done <"$(dirname "$0")/files/machines.csv"
