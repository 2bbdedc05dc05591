package traffic

import (
	"fmt"
	"strings"
	"time"
)

// site is one host behind the gateway. The text before the first dash of the
// host is the project; a host without a dash belongs to the platform.
type site struct {
	host, upstream string
	endpoints      []endpoint
}

// endpoint is one kind of request; %d in its path is a small number, so that
// charts by URL have something to group.
type endpoint struct {
	method, path string
	typical      time.Duration
	slow, broken float64 // share of requests that are slow, and that fail
}

const ms = time.Millisecond

// sites are listed as often as they are visited.
var sites = weigh(
	weight{9, site{"shop-api.example.com", "10.42.7.21:8080", []endpoint{
		{"GET", "/api/v1/products", 35 * ms, 0.01, 0.002},
		{"GET", "/api/v1/products/%d", 18 * ms, 0.01, 0.004},
		{"GET", "/api/v1/products/%d", 18 * ms, 0.01, 0.004},
		{"POST", "/api/v1/orders", 140 * ms, 0.05, 0.015},
		{"GET", "/api/v1/orders/%d", 40 * ms, 0.02, 0.006},
		{"PATCH", "/api/v1/carts/%d", 55 * ms, 0.02, 0.008},
		{"DELETE", "/api/v1/carts/%d/items", 30 * ms, 0.01, 0.005},
	}}},
	weight{6, site{"shop-web.example.com", "10.42.7.35:3000", []endpoint{
		{"GET", "/", 25 * ms, 0.01, 0.001},
		{"GET", "/assets/app.js", 4 * ms, 0, 0.001},
		{"GET", "/category/%d", 45 * ms, 0.02, 0.003},
		{"HEAD", "/", 3 * ms, 0, 0},
	}}},
	weight{4, site{"pay-api.example.com", "10.42.9.4:8443", []endpoint{
		{"POST", "/v2/payments", 320 * ms, 0.08, 0.03},
		{"GET", "/v2/payments/%d", 60 * ms, 0.02, 0.01},
		{"PUT", "/v2/refunds/%d", 280 * ms, 0.06, 0.02},
	}}},
	weight{4, site{"member-api.example.com", "10.42.5.18:8080", []endpoint{
		{"POST", "/oauth/token", 90 * ms, 0.02, 0.05},
		{"GET", "/members/me", 22 * ms, 0.01, 0.02},
		{"OPTIONS", "/members/me", 2 * ms, 0, 0},
	}}},
	weight{3, site{"search-api.example.com", "10.42.6.77:9200", []endpoint{
		{"GET", "/search", 110 * ms, 0.10, 0.01},
		{"GET", "/suggest", 12 * ms, 0.01, 0.002},
	}}},
	weight{2, site{"report-batch.example.com", "10.42.8.9:8080", []endpoint{
		{"POST", "/reports/%d/build", 2600 * ms, 0.30, 0.06},
		{"GET", "/reports/%d", 400 * ms, 0.10, 0.02},
	}}},
	weight{2, site{"www.example.com", "10.42.4.2:8080", []endpoint{
		{"GET", "/", 15 * ms, 0.01, 0.002},
		{"GET", "/favicon.ico", 2 * ms, 0, 0.2},
	}}},
	weight{1, site{"192.0.2.15:8000", "10.42.4.2:8080", []endpoint{
		{"GET", "/", 8 * ms, 0, 0.5},
		{"TRACE", "/", 2 * ms, 0, 1},
	}}},
)

type weight struct {
	n    int
	site site
}

func weigh(ws ...weight) []site {
	var out []site
	for _, w := range ws {
		for range w.n {
			out = append(out, w.site)
		}
	}
	return out
}

var protocols = []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/2.0", "HTTP/1.0"}

var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
	"Mozilla/5.0 (Linux; Android 16; SM-S931N) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
	"okhttp/4.12.0", "Go-http-client/2.0", "curl/8.5.0", "Java/21.0.9", "-",
	`ShopApp/7.3 (\x22beta\x22; ko-KR) CFNetwork/1568`,
	`Mozilla/5.0 (compatible; \xEC\x87\xBC\xED\x95\x91Bot/2.1; \x5Cunknown)`,
}

// queries come before the request's identifier. The third one and the last
// are as nginx escapes a quote and a letter beyond ASCII.
var queries = []string{"", "", "", "", "page=2&size=20&", "sort=-created_at&", `q=\x22red+shoes\x22&`,
	"q=%EC%8B%A0%EB%B0%9C&", "utm_source=push&utm_campaign=sale-2026&", `name=\xEA\xB9\x80&`}

func (k *Kong) target(e endpoint, id string) string {
	path := e.path
	if strings.Contains(path, "%d") {
		path = fmt.Sprintf(path, 1+k.r.IntN(24))
	}
	return path + "?" + pick(k.r, queries) + "request_id=" + id
}

// client is an IPv4 address nineteen times out of twenty.
func (k *Kong) client() string {
	n := k.r.Uint32()
	if n%20 == 0 {
		return fmt.Sprintf("2001:db8:%x:%x::%x", n>>16&0xff, n>>8&0xff, 1+n>>24)
	}
	return fmt.Sprintf("%d.%d.%d.%d", 101+n>>8%100, n>>16&0xff, n>>24&0xff, 1+n%253)
}
