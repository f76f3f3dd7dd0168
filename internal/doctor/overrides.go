package doctor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// overriding are the files of a workspace that set variables or settings for
// programs that are started there.
var overriding = []string{".envrc", ".env", ".env.local", ".npmrc", ".yarnrc.yml", ".cargo/config.toml", "pip.conf", ".gitconfig", ".mise.toml", ".tool-versions", "bunfig.toml"}

// settings are those that take our authority away again, besides the kit's
// variables.
var settings = regexp.MustCompile(`^\s*(export\s+)?(cafile|ca|strict-ssl|httpsCaFilePath|cainfo|sslCAInfo|sslVerify|cert|NODE_TLS_REJECT_UNAUTHORIZED|NODE_OPTIONS|JAVA_TOOL_OPTIONS)\s*[=:]`)

// Overrides returns a check that looks for files of the workspace that set what
// the kit sets: programs started there will not trust us.
func Overrides(workspace string, vars []string) Check {
	return Check{"overrides", func(context.Context) Result {
		var found []string
		for _, name := range overriding {
			found = append(found, search(workspace, name, vars)...)
		}
		if len(found) == 0 {
			return Result{State: OK, What: "nothing in the workspace sets certificates"}
		}
		return Result{State: Failed, What: "files of the workspace set certificates themselves", Cause: strings.Join(found, ", "),
			Cure: "remove these lines, or make them leave a variable that is set as it is"}
	}}
}

// search returns where a file sets one of them, as FILE:LINE (NAME).
func search(dir, name string, vars []string) []string {
	p := filepath.Join(dir, name)
	if i, err := os.Stat(p); err != nil || !i.Mode().IsRegular() || i.Size() > 1<<20 {
		return nil
	}
	f, err := os.Open(p)
	if err != nil {
		return nil
	}
	defer f.Close()
	var found []string
	s := bufio.NewScanner(f)
	for n := 1; s.Scan() && len(found) < 10; n++ {
		line := strings.TrimSpace(s.Text())
		if m := settings.FindStringSubmatch(line); m != nil {
			found = append(found, fmt.Sprintf("%s:%d (%s)", name, n, m[2]))
			continue
		}
		key, _, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export ")), "=")
		for _, v := range vars {
			if set, _, _ := strings.Cut(v, "="); ok && strings.TrimSpace(key) == set {
				found = append(found, fmt.Sprintf("%s:%d (%s)", name, n, set))
			}
		}
	}
	return found
}
