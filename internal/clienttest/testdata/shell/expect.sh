# What the scripts hold against what they see. A script says nothing unless something is wrong.
set -euo pipefail

# is GOT WANT WHAT: ends the script unless the two are the same.
is() {
	if [ "$1" != "$2" ]; then
		printf '%s:\n got %s\nwant %s\n' "$3" "$1" "$2"
		exit 1
	fi
}

# like GOT PATTERN WHAT: ends the script unless the pattern, an extended regular expression, covers the text.
like() {
	if ! [[ $1 =~ ^$2$ ]]; then
		printf '%s: %s is not of the form %s\n' "$3" "$1" "$2"
		exit 1
	fi
}

glacier() { aws --endpoint-url "$MORAINE_ENDPOINT" glacier "$@"; }

# refused CODE ARGUMENT...: runs a command that the server must refuse with a code. What it says is in said.
refused() {
	local code=$1 status=0
	shift
	said=$(glacier "$@" 2>&1) || status=$?
	like "$said" ".*\($code\).*" "what glacier $* said"
	like "$status" "25[45]" "exit status of glacier $*"
}

# as KEY COMMAND...: runs a command with a key.
as() {
	local id secret token
	read -r id secret token <<<"$1"
	shift
	if [ -n "$token" ]; then local -x AWS_SESSION_TOKEN=$token; fi
	AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret "$@"
}

# made ARGUMENT...: runs `moraine admin` and prints the key that it makes, for as.
made() {
	moraine admin "$@" --json | python -c 'import json, sys; k = json.load(sys.stdin)
print(*[k.get(one) or k.get(other, "") for one, other in [("access_key_id", "AccessKeyId"), ("secret_access_key", "SecretAccessKey"), ("-", "SessionToken")]])'
}

# advance DURATION: lets time pass for a server with a clock that can be set.
advance() { python -c 'import sys; from expect import advance; advance(sys.argv[1])' "$1"; }

# finished VAULT JOB: waits for the end of a job.
finished() {
	for _ in $(seq 50); do
		[ "$(glacier describe-job --account-id - --vault-name "$1" --job-id "$2" --query Completed)" = true ] && return
	done
	echo "job $2 did not end"
	exit 1
}
