// Package flow runs the scripts of this folder: a policy, traffic of real
// clients and the expected record, against the real binary.
//
// Beside testscript's own commands a script has:
//
//	origin            starts the servers that stand for the internet; what they
//	                  receive is appended to $WORK/origin.log
//	serve [ARG…]      starts outvet serve with state in $WORK/state; sets PROXY, ADDR (of it),
//	                  CONSOLE, CA and TOKEN; with --dns also DNS and DNS_PORT
//	end [kill]        ends it by SIGTERM (exit code 0 expected) or SIGKILL;
//	                  its output is in serve.out and serve.err
//	hup               sends it SIGHUP
//	wait-for FILE RE  waits until FILE matches RE, 10 s at most
//	read VAR FILE     sets a variable to what FILE holds
//	record [EXPR]     prints the records that match, one a line of JSON
//	attack [as=UID] [ARG…]  runs outvet attack in a home of its own
//	go-client ARG…    METHOD URL [BODY] by Go's own client through the proxy
package flow

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"outvet/test/process"
)

// binary is where outvet was built.
var binary string

func TestMain(m *testing.M) { os.Exit(process.Main(m, &binary)) }

func TestFlows(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// testscript's own commands come first: one of ours by the name of
			// one of them, like stop, would never run.
			"origin": startOrigin, "serve": serve, "end": end, "hup": hup,
			"wait-for": waitFor, "read": read, "sealed": sealed, "attack": attack, "record": record, "go-client": goClient,
		},
	})
}

func setup(env *testscript.Env) error {
	env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
	env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	env.Setenv("NO_PROXY", "")
	modules, err := filepath.Abs(npmModules)
	if err != nil {
		return err
	}
	env.Setenv("NODE_PATH", modules)
	env.Setenv("SECRET", "gh"+"p_"+"k7Qm2ZtR9vXc4LpW8s"+"Yb3NdF6hJa1G1cxYMD") // made up, with a right checksum
	env.Values["run"] = &running{}
	return nil
}

// npmModules is where make npm puts what the scripts need of npm.
const npmModules = "node/node_modules"

// condition knows what a machine may lack: programs, as in [prog:git], the
// packages of npm, and root.
func condition(cond string) (bool, error) {
	if cond == "root" {
		return os.Getuid() == 0, nil
	}
	if cond == "npm" {
		_, err := os.Stat(npmModules)
		return err == nil, nil
	}
	if name, ok := strings.CutPrefix(cond, "prog:"); ok {
		_, err := exec.LookPath(name)
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// running is what one script has started.
type running struct {
	origin *origin
	outvet *process.Process
}

func of(ts *testscript.TestScript) *running { return ts.Value("run").(*running) }

func startOrigin(ts *testscript.TestScript, _ bool, _ []string) {
	o, err := newOrigin(ts.MkAbs("origin.log"), ts.MkAbs("repos"))
	ts.Check(err)
	ts.Defer(o.Close)
	of(ts).origin = o
	ts.Check(os.WriteFile(ts.MkAbs("origin-ca.pem"), o.ca, 0o600))
	ts.Setenv("HTTPS_PORT", o.httpsPort)
	ts.Setenv("HTTP_PORT", o.httpPort)
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	o := of(ts).origin
	all := process.Args(ts.Getenv("STATE"))
	if o != nil {
		all = append(all, "--upstream-ca", ts.MkAbs("origin-ca.pem"),
			"--connect-to", ":443:127.0.0.1:"+o.httpsPort, "--connect-to", ":80:127.0.0.1:"+o.httpPort)
	}
	cmd := exec.Command(binary, append(all, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = process.Environment(ts.Getenv("HOME"), "DEPLOY_KEY="+ts.Getenv("DEPLOY_KEY"))
	out, err := os.Create(ts.MkAbs("serve.out"))
	ts.Check(err)
	errs, err := os.Create(ts.MkAbs("serve.err"))
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = out, errs
	p, err := process.Begin(cmd)
	ts.Check(err)
	ts.Defer(p.Kill)
	of(ts).outvet = p
	switch err := p.Ready(10 * time.Second); {
	case err == nil:
		setServed(ts, p.Proxy, p.Console)
		host, port, _ := net.SplitHostPort(p.DNS)
		ts.Setenv("DNS", host)
		ts.Setenv("DNS_PORT", port)
	case neg:
		ts.Logf("%s", p.Errs)
	default:
		ts.Fatalf("outvet serve: %v\n%s", err, p.Errs)
	}
}

// sealed runs a command by outvet run, in the folder project, with the origin for
// all hosts. Flags of run stand before --.
func sealed(ts *testscript.TestScript, neg bool, args []string) {
	all := []string{"run", "--state", ts.Getenv("STATE")}
	if o := of(ts).origin; o != nil {
		all = append(all, "--upstream-ca", ts.MkAbs("origin-ca.pem"),
			"--connect-to", ":443:127.0.0.1:"+o.httpsPort, "--connect-to", ":80:127.0.0.1:"+o.httpPort)
	}
	home := ts.Getenv("HOME")
	dir := filepath.Join(home, "project")
	ts.Check(os.MkdirAll(dir, 0o777))
	for _, d := range []string{home, filepath.Dir(home)} { // the command of root is somebody else
		ts.Check(os.Chmod(d, 0o755))
	}
	all = append(all, "--workspace", dir)
	if err := ts.Exec(binary, append(all, args...)...); (err != nil) != neg {
		ts.Fatalf("outvet run: %v", err)
	}
}

func setServed(ts *testscript.TestScript, proxy, console string) {
	ts.Setenv("PROXY", "http://"+proxy)
	ts.Setenv("ADDR", proxy)
	ts.Setenv("CONSOLE", "http://"+console)
	ts.Setenv("CA", filepath.Join(ts.Getenv("STATE"), "ca.pem"))
	token, err := os.ReadFile(filepath.Join(ts.Getenv("STATE"), "token"))
	ts.Check(err)
	ts.Setenv("TOKEN", strings.TrimSpace(string(token)))
}

func end(ts *testscript.TestScript, _ bool, args []string) {
	p := of(ts).outvet
	if len(args) == 1 && args[0] == "kill" {
		p.Kill()
		return
	}
	ts.Check(p.End(syscall.SIGTERM, 15*time.Second))
}

func hup(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(of(ts).outvet.Cmd.Process.Signal(syscall.SIGHUP))
}

func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile(args[1])
	var b []byte
	for range 100 {
		if b, _ = os.ReadFile(ts.MkAbs(args[0])); re.Match(b) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s does not match %s:\n%s", args[0], args[1], b)
}

func read(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

func record(ts *testscript.TestScript, _ bool, args []string) {
	time.Sleep(100 * time.Millisecond) // the closed leaf may come after the answer
	all := append([]string{"log", "search", "--state", ts.Getenv("STATE"), "--json"}, strings.Join(args, " "))
	ts.Check(ts.Exec(binary, all...))
}

func goClient(ts *testscript.TestScript, neg bool, args []string) {
	pem, err := os.ReadFile(ts.Getenv("CA"))
	ts.Check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	proxy, err := url.Parse(ts.Getenv("PROXY"))
	ts.Check(err)
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(args[2])
	}
	req, err := http.NewRequest(args[0], args[1], body)
	ts.Check(err)
	res, err := tr.RoundTrip(req)
	if err != nil {
		if !neg {
			ts.Fatalf("%v", err)
		}
		return
	}
	defer res.Body.Close()
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s\n", res.Proto, res.Status)
	io.Copy(&out, res.Body)
	fmt.Fprintf(ts.Stdout(), "%s\n", out.String())
}
