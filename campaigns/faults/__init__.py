"""What fails under the software, at full length: kills, disks, networks, clocks, memory."""
