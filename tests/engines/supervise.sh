# supervise DIR PROGRAM ARGUMENT...: run PROGRAM until standard input ends, then
# end it, wait for it, and remove DIR with whatever it left mounted there.
dir=$1
shift
trap : INT TERM HUP
"$@" >"$dir/log" 2>&1 &
pid=$!
read -r _
kill "$pid" 2>/dev/null
wait "$pid"
while read -r _ target _; do
	case $target in "$dir"/*) umount -l "$target" ;; esac
done </proc/self/mounts
rm -rf "$dir"
