#!/bin/sh
# Makes primate-splice.csv.gz from UCI's splice.data ("EI, ATRINS-DONOR-521, CCAGCTG..."), plain or compressed with xz:
#   examples/splice/convert.sh splice.data
set -eu
here=$(dirname "$0")
case $1 in
  *.xz) xz -dc "$1" ;;
  *) cat "$1" ;;
esac | awk -F, '
  BEGIN { print "sequence,label" }
  NF == 3 { gsub(/[ \t\r]/, ""); print $3 "," $1 }
' | gzip -9n > "$here/primate-splice.csv.gz"
gzip -dc "$here/primate-splice.csv.gz" | awk -F, 'NR > 1 { n[$2]++ } END { for (c in n) print c, n[c] }' | sort
