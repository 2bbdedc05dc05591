package k8s

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kongsLine is the form that dashboards read.
var kongsLine = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+ \[\d\d/[A-Z][a-z]{2}/\d{4}(:\d\d){3} [+-]\d{4}\] "GET /write\?lines=0&q=\\x22shoes\\x22 HTTP/1\.1" 200 \d+\.\d{3} \d+\.\d{3} "shop-api\.example\.com" "an agent \\x22of ours\\x22"$`)

// kongsFormat gives the format of manifests/kong/values.yaml to a real nginx,
// the program that reads it in Kong, and has it proxy a request.
func kongsFormat(c *cluster) {
	data, err := os.ReadFile(filepath.Join(manifests, "kong", "values.yaml"))
	var values struct{ Env map[string]string }
	if err == nil {
		err = yaml.Unmarshal(data, &values)
	}
	if err != nil {
		c.Fatal(err)
	}
	upstream := c.start("kong-upstream", 0)
	c.apply(&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: kongs, Name: "nginx"},
		Data: map[string]string{"nginx.conf": fmt.Sprintf(`user root; worker_processes 1; pid /tmp/nginx.pid; error_log /dev/stderr warn;
events { worker_connections 64; }
http {
  log_format %s;
  access_log %s;
  server { listen 8080; location / { proxy_pass http://%s:8080; } }
}`, values.Env["nginx_http_log_format"], values.Env["proxy_access_log"], upstream.ip)}})
	object := describe("kong-nginx", c.next(), 0, -1)
	object.Spec.Volumes = []corev1.Volume{{Name: "conf", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "nginx"}}}}}
	proxy := &object.Spec.Containers[0]
	proxy.Image, proxy.Args = "localhost/testbed/nginx:1", nil
	proxy.Command = []string{"/usr/sbin/nginx", "-c", "/conf/nginx.conf", "-g", "daemon off;"}
	proxy.VolumeMounts = []corev1.VolumeMount{{Name: "conf", MountPath: "/conf"}}
	p := c.begin(object)
	p.wait()
	c.until("nginx answers", 20*time.Second, func() bool { return c.request(p.ip) == nil })
	c.book.texts(p.name, func(message string) bool { return kongsLine.MatchString(message) })
	c.until("the line has its row", 30*time.Second, func() bool { c.book.read(c.warehouse); return c.book.now.rows > 0 })
	c.book.now.lines += c.book.now.rows // as many as tries were answered
	p.delete()
	upstream.delete()
}

// request sends what nginx has to escape.
func (c *cluster) request(ip string) error {
	req, err := http.NewRequestWithContext(c.Context(), http.MethodGet, "http://"+ip+":8080/write", nil)
	if err != nil {
		return err
	}
	req.URL.RawQuery = `lines=0&q="shoes"`
	req.Host = "shop-api.example.com"
	req.Header.Set("User-Agent", `an agent "of ours"`)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", strings.ToLower(resp.Status))
	}
	return nil
}
