// Command starrocks is the StarRocks stand-in as a program of its own: for
// clients in other languages, and for tests that kill it. Its flags are those
// of starrockstest.Main:
//
//	go run ./demo/starrocks -dir /tmp/starrocks -ddl 'CREATE DATABASE quickstart' -ddl manifests/starrocks/kong_log_events.sql
package main

import (
	"os"

	"millrace/outputs/starrocks/starrockstest"
)

func main() { os.Exit(starrockstest.Main(os.Args[1:], os.Stdout, os.Stderr)) }
