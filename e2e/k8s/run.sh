#!/usr/bin/env bash
# Runs the tests of this directory on a node of its own: e2e/k8s/run.sh BEDS [FLAGS]
#
# or only builds what the node is made of: e2e/k8s/run.sh BEDS build
#
# BEDS is a directory with k8s-testbed.sh, which brings up a real API server,
# kubelet and containerd in namespaces of their own, and kafka-testbed.sh, which
# brings up a real Kafka. Root is needed. FLAGS go to the test, -test.run and so on.
#
# What was built stays in MILLRACE_TESTBED, by default ~/.cache/millrace-testbed:
# the first run takes five minutes more. What was brought up is taken down, and so is
# what a former run left.
set -euo pipefail
cd "$(dirname "$0")/../.."

beds=$(realpath "$1")
shift
cache=${MILLRACE_TESTBED:-$HOME/.cache/millrace-testbed}
export K8STB_ROOT=${K8STB_ROOT:-$cache/k8s}
export KTB_PORT=9092 KTB_SAN=IP:10.99.0.1,DNS:kafka.kafka.svc
# The listener with TLS and SASL is for pods, the others for this machine.
export KTB_BROKER="listeners=PLAIN://127.0.0.1:9092,SASL://10.99.0.1:9093,MTLS://127.0.0.1:9094,CONTROLLER://127.0.0.1:9095
advertised.listeners=PLAIN://127.0.0.1:9092,SASL://10.99.0.1:9093,MTLS://localhost:9094"
work=$(mktemp -d)

build() { mkdir -p "$K8STB_ROOT" && flock "$K8STB_ROOT/build.lock" "$beds/k8s-testbed.sh" build node; }
if [[ ${1:-} == build ]]; then
  build
  exit
fi

node() { "$beds/k8s-testbed.sh" "$@"; }
kafka() { node exec "$beds/kafka-testbed.sh" -d "$work/kafka" "$@"; }

# The test runs inside and may have things done outside: it writes a command
# to one pipe and reads the exit code from the other.
serve() {
  local what args
  while read -r what args <"$work/ask"; do
    case $what in
      node | kafka)
        # shellcheck disable=SC2086
        if "$what" $args >"$work/said" 2>&1; then echo 0; else echo "$?"; fi >"$work/answer" ;;
      *) return ;;
    esac
  done
}

cleanup() {
  [[ -z ${server:-} ]] || kill "$server" 2>/dev/null || true
  [[ -z ${K8S_LOGS:-} ]] || { mkdir -p "$K8S_LOGS" && cp -r "$K8STB_ROOT/run/log" "$work"/kafka/b1/out.log "$K8S_LOGS"; } 2>/dev/null || true
  node down
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

node down
rm -rf "$K8STB_ROOT/node" # /var/log and so on of a node that is no more
node install node
build # or waits until somebody else has
node images
"$beds/kafka-testbed.sh" -d "$work/kafka" install
go run ./e2e/k8s/image -name docker.io/library/millrace:devel -dockerfile Dockerfile -out "$work/millrace.tar"
CGO_ENABLED=0 go build -o "$work/writer" ./e2e/k8s/writer
go run ./e2e/k8s/image -name docker.io/library/millrace-writer:devel -program "$work/writer" -out "$work/writer.tar"
go test -c -o "$work/k8s.test" ./e2e/k8s

node node-up
# Pods that kubelet knows from files.
mkdir -p "$K8STB_ROOT/node/var/lib/kubelet/static"
echo 'staticPodPath: /var/lib/kubelet/static' >>"$K8STB_ROOT/node/kubelet.yaml"
node restart kubelet
# Nobody answers questions about names on the node: say so at once, or Kafka
# waits half a minute for the name of whoever logs in.
echo 'nameserver 127.0.0.1' >"$work/resolv.conf"
node exec mount --bind "$work/resolv.conf" /etc/resolv.conf
node image-load "$work/millrace.tar" "$work/writer.tar"
kafka up >/dev/null

mkfifo "$work/ask" "$work/answer"
cat >"$work/control" <<'CONTROL'
#!/bin/sh
here=$(dirname "$0")
echo "$*" >"$here/ask" && read -r code <"$here/answer"
[ "$code" = 0 ] || cat "$here/said"
exit "$code"
CONTROL
chmod +x "$work/control"
serve &
server=$!

eval "$(kafka env)"
export KUBECONFIG=$K8STB_ROOT/run/admin.kubeconfig PATH=$K8STB_ROOT/bin:$PATH
export K8S_CONTROL=$work/control K8S_ADDRESS=10.99.0.1 BOOTSTRAP_SASL=10.99.0.1:9093
cd e2e/k8s # as go test does
node exec "$work/k8s.test" -test.v -test.timeout 15m "$@"
