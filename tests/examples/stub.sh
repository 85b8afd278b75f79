#!/bin/sh
# Stands for dovetail: notes what it was asked; STUB_CLOSED closes the gate of a promote, STUB_AWAY misses Kafka.
echo "$*" >> "$DOVETAIL_PROJECT/asked"
if [ -n "$STUB_AWAY" ]; then
  echo '{"error":{"what":"no Kafka"},"kind":"ServiceMissing"}' >&2
  exit 3
fi
case "$1" in
plan) echo '[{"view":"sales","state":"changed","id":"3f2a9c0d"},{"view":"buyers","state":"unchanged","id":"0"}]' ;;
batch) echo "{\"view\":\"$2\",\"written\":true,\"seq\":7}" ;;
promote)
  if [ -n "$STUB_CLOSED" ]; then
    echo 'a warning' >&2
    echo '{"error":{"what":"lines 10 → 1"},"kind":"GateClosed"}' >&2
    exit 1
  fi
  ;;
esac
