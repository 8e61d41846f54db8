# What a set-up says while it runs. Sourced by tools/setup_env.sh; all of it goes to standard error and to $log.

ticker= # the process that shows the seconds of a step on a terminal
stop_ticker() {
  [ -n "$ticker" ] || return 0
  kill "$ticker" 2>/dev/null
  wait "$ticker" 2>/dev/null
  ticker=
  printf '\r\033[K' >&2
}

die() {
  stop_ticker
  echo "error: $*" >&2
  exit 2
}

note() { echo "note: $*" >&2; }

# step NUMBER TEXT: says what begins; on a terminal, what the log says last and the seconds tick below until
# `done_step`.
step() {
  echo "[setup $1/4] $2" >&2
  printf '\n==== %s\n' "$2" >>"$log"
  began=$SECONDS
  [ -t 2 ] || return 0
  (
    trap - EXIT INT TERM
    exec 9<&-
    while sleep 1 && kill -0 $$ 2>/dev/null; do
      printf '\r\033[K  %d s  %s' $((SECONDS - began)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c 1-70)" >&2
    done
  ) &
  ticker=$!
}

done_step() {
  stop_ticker
  echo "            ${1:-done} in $((SECONDS - began)) s" >&2
}

# What the log first complains of in this step, for the one line that we print.
first_error() {
  local line
  line=$(awk '
    /^==== / { found = ""; open = 0; next }
    open && NF { sub(/^ +/, ""); found = found " " $0; open = 0 }
    found == "" && tolower($0) ~ /(^|[^a-z])error(:| at )|no space left on device/ {
      found = $0; sub(/^ +/, "", found); open = /:$/
    }
    END { print substr(found, 1, 300) }' "$log")
  echo "${line:-no error line}"
}

# put FILE LINE...: written beside, then renamed.
put() { printf '%s\n' "${@:2}" >"$1.tmp" && mv "$1.tmp" "$1" || die "$1 cannot be written (disk full?)"; }
