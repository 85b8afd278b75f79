#!/bin/bash
# First boot: Python, Java, a user, and the volume in its place. Whoever deploys installs Dovetail: docs/deploy.md.
set -euo pipefail
dnf install -y python3.11 java-17-amazon-corretto-headless
useradd --system --home-dir /var/lib/dovetail --shell /sbin/nologin dovetail
disk=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${replace(volume, "-", "")}
until [ -b "$disk" ]; do sleep 2; done # it is attached once the machine runs
blkid "$disk" || mkfs.xfs "$disk"
mkdir -p /var/lib/dovetail
echo "$disk /var/lib/dovetail xfs nodev,nosuid,noexec 0 2" >>/etc/fstab
mount /var/lib/dovetail
chown dovetail:dovetail /var/lib/dovetail
chmod 0700 /var/lib/dovetail
