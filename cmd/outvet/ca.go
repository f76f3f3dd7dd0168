package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outvet/internal/ca"
)

// caWarning is how long before its end an authority is to be replaced.
const caWarning = 30 * 24 * time.Hour

func caCommand() *cobra.Command {
	c := &cobra.Command{Use: "ca", Short: "Show and rotate the certificate authority that clients trust", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(caShowCommand(), caRotateCommand())
	return c
}

// An authorityView is what show prints of one certificate.
type authorityView struct {
	Role      string    `json:"role"` // signs, or successor
	Subject   string    `json:"subject"`
	SHA256    string    `json:"sha256"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	DaysLeft  int       `json:"days_left"`
}

func viewOf(role string, c *x509.Certificate, now time.Time) authorityView {
	sum := sha256.Sum256(c.Raw)
	return authorityView{role, c.Subject.CommonName, fmt.Sprintf("%X", sum[:]), c.NotBefore.UTC(), c.NotAfter.UTC(), daysLeft(c, now)}
}

func daysLeft(c *x509.Certificate, now time.Time) int {
	return int(c.NotAfter.Sub(now) / (24 * time.Hour))
}

// colons writes a fingerprint as other programs print it.
func colons(hex string) string {
	var b strings.Builder
	for i := 0; i < len(hex); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(hex[i : i+2])
	}
	return b.String()
}

// takes says where each client takes the authority. Programs that read the
// variable replace their own list by it, so it must name system roots and ours.
var takes = [][2]string{
	{"curl, git, wget, Go", "the system's list: copy ca.pem to /usr/local/share/ca-certificates/outvet.crt, run update-ca-certificates"},
	{"curl", "--cacert ca.pem, or CURL_CA_BUNDLE"},
	{"git", "git config http.sslCAInfo, or GIT_SSL_CAINFO"},
	{"Node, npm", "NODE_EXTRA_CA_CERTS=ca.pem, in addition to its own list"},
	{"Python: urllib, Go, Bun", "SSL_CERT_FILE"},
	{"Python: requests, httpx, pip", "REQUESTS_CA_BUNDLE, SSL_CERT_FILE, PIP_CERT"},
	{"cargo", "CARGO_HTTP_CAINFO"},
	{"Deno", "DENO_CERT"},
	{"Codex", "CODEX_CA_CERTIFICATE"},
	{"Claude Code", "NODE_EXTRA_CA_CERTS, or the system's list"},
	{"AWS, gcloud, gRPC", "AWS_CA_BUNDLE, CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"},
	{"Java", "keytool -importcert -cacerts -alias outvet -file ca.pem (takes the first certificate only)"},
	{"Chromium", "certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n outvet -i ca.pem"},
}

func caShowCommand() *cobra.Command {
	var dir string
	var asJSON, asPEM bool
	c := &cobra.Command{
		Use: "show", Short: "Show the authority, how long it lasts and where clients take it", Args: noArgs,
		Example: `  outvet ca show
  outvet ca show --pem > outvet.pem`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := findState(dir)
			if err != nil {
				return err
			}
			trust, rot, err := ca.Read(string(s))
			if err != nil {
				return usage(err)
			}
			if asPEM {
				return printPEM(c.OutOrStdout(), trust)
			}
			return showAuthority(c, s, trust, rot, asJSON)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&asPEM, "pem", false, "print only the certificates that clients are to trust")
	c.MarkFlagsMutuallyExclusive("json", "pem")
	return c
}

func printPEM(w io.Writer, certs []*x509.Certificate) error {
	for _, cert := range certs {
		if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return err
		}
	}
	return nil
}

func showAuthority(c *cobra.Command, s state, trust []*x509.Certificate, rot ca.Rotation, asJSON bool) error {
	now := time.Now()
	views := []authorityView{viewOf("signs", trust[0], now)}
	if rot.New != nil {
		views = append(views, viewOf("successor", rot.New, now))
	}
	warnOfEnd(trust[0], rot, now, func(text string) { fmt.Fprintln(c.ErrOrStderr(), "outvet: "+text) })
	out := c.OutOrStdout()
	if asJSON {
		v := map[string]any{"file": s.path("ca.pem"), "authorities": views}
		if rot.New != nil {
			v["finish"], v["crossed"] = rot.Finish, rot.Crossed
		}
		return printJSON(out, v)
	}
	for _, v := range views {
		fmt.Fprintf(out, "%-9s  %s\n  sha256   %s\n  valid    %s to %s, %d days left\n", v.Role, clean(v.Subject), colons(v.SHA256),
			v.NotBefore.Local().Format(time.DateOnly), v.NotAfter.Local().Format(time.DateOnly), v.DaysLeft)
	}
	fmt.Fprintf(out, "  file     %s\n", s.path("ca.pem"))
	if rot.New != nil {
		fmt.Fprintf(out, "  rotates  %s: then the successor signs\n", rot.Finish.Local().Format(time.DateTime))
	}
	fmt.Fprintln(out, "\nClients take it so (a variable that names a file replaces the client's own list, unless said; name system roots and ours in it):")
	for _, t := range takes {
		fmt.Fprintf(out, "  %-30s %s\n", t[0], t[1])
	}
	return nil
}

// warnOfEnd says when the authority ends soon and nobody has seen to it.
func warnOfEnd(cert *x509.Certificate, rot ca.Rotation, now time.Time, warn func(string)) {
	if left := cert.NotAfter.Sub(now); left < caWarning && rot.New == nil {
		warn(fmt.Sprintf("the certificate authority expires on %s, in %d days: run outvet ca rotate", cert.NotAfter.Local().Format(time.DateOnly), daysLeft(cert, now)))
	}
}

func caRotateCommand() *cobra.Command {
	var dir string
	var overlap time.Duration
	var finish, asJSON bool
	c := &cobra.Command{
		Use: "rotate", Short: "Make a new authority, with time for clients to take it up", Args: noArgs,
		Long: `rotate makes a new certificate authority beside the one that signs. From now on
ca.pem holds both; let clients take it up. After --overlap, or at once with
--finish, the new one signs and ca.pem holds that alone. The old authority has
signed the new one as well, so that clients that know only the old go on working
until it expires.

A running outvet takes part without a restart, and connections go on. If the key
may have been stolen, rotate with --overlap 0 and take the old certificate from
every client.`,
		Example: `  outvet ca rotate
  outvet ca rotate --finish`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := findState(dir)
			if err != nil {
				return err
			}
			if err := exclusive(c, "overlap", "finish"); err != nil {
				return err
			}
			if _, _, err := ca.Read(string(s)); err != nil {
				return usage(err)
			}
			if finish {
				return finishRotation(c, s, asJSON)
			}
			r, err := ca.Rotate(string(s), overlap)
			if err != nil {
				return usage(err)
			}
			return sayRotation(c, s, r, overlap, asJSON)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	overlap = 7 * 24 * time.Hour
	c.Flags().Var(span{&overlap}, "overlap", "how long the old authority goes on signing")
	c.Flags().BoolVar(&finish, "finish", false, "end the overlap of a rotation under way")
	return c
}

func finishRotation(c *cobra.Command, s state, asJSON bool) error {
	cert, err := ca.Finish(string(s))
	if err != nil {
		return usage(err)
	}
	v := viewOf("signs", cert, time.Now())
	if asJSON {
		return printJSON(c.OutOrStdout(), v)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s signs\n  sha256   %s\n  file     %s\n", clean(v.Subject), colons(v.SHA256), s.path("ca.pem"))
	return err
}

func sayRotation(c *cobra.Command, s state, r ca.Rotation, overlap time.Duration, asJSON bool) error {
	now := time.Now()
	if asJSON {
		return printJSON(c.OutOrStdout(), map[string]any{"old": viewOf("signs", r.Old, now), "new": viewOf("successor", r.New, now), "finish": r.Finish, "crossed": r.Crossed})
	}
	out := c.OutOrStdout()
	v := viewOf("successor", r.New, now)
	fmt.Fprintf(out, "made %s\n  sha256   %s\n", clean(v.Subject), colons(v.SHA256))
	if overlap > 0 {
		fmt.Fprintf(out, "  signs    from %s, or with outvet ca rotate --finish\n  file     %s holds old and new: let clients take it up\n",
			r.Finish.Local().Format(time.DateTime), s.path("ca.pem"))
	} else {
		fmt.Fprintf(out, "  signs    now\n  file     %s\n", s.path("ca.pem"))
	}
	if r.Crossed {
		fmt.Fprintf(out, "  clients  that know only the old one go on working until %s\n", r.Old.NotAfter.Local().Format(time.DateOnly))
	} else {
		fmt.Fprintln(out, "  clients  that know only the old one stop working then: it may not sign authorities")
	}
	return nil
}

// watchAuthority follows rotations and warns of the end of the authority, each day.
func (h *house) watchAuthority(ctx context.Context) {
	go h.authority.Watch(ctx, func(a *ca.Authority) {
		h.log.Info("another certificate authority signs", "subject", a.Certificate().Subject.CommonName)
	}, func(err error) { h.log.Error("certificate authority", "err", err) })
	t := time.NewTicker(24 * time.Hour)
	defer t.Stop()
	for {
		if trust, rot, err := ca.Read(string(h.state)); err == nil {
			warnOfEnd(trust[0], rot, time.Now(), func(text string) { h.log.Warn(text) })
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
