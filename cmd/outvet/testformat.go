package main

import (
	"encoding/xml"
	"fmt"
	"io"

	"outvet/call"
	"outvet/internal/policy"
)

// testFormats are the ways to print test results.
func testFormats() map[string]func(io.Writer, string, []policy.TestResult) error {
	return map[string]func(io.Writer, string, []policy.TestResult) error{
		"text": printTests, "tap": printTAP, "junit": printJUnit,
	}
}

func printTests(w io.Writer, name string, results []policy.TestResult) error {
	for _, r := range results {
		if r.Failure != "" {
			fmt.Fprintf(w, "FAIL  %s: %s\n      %s\n", r.At, r.Name, r.Failure)
		}
	}
	if n := failures(results); n > 0 {
		_, err := fmt.Fprintf(w, "%d of %d tests fail\n", n, len(results))
		return err
	}
	_, err := fmt.Fprintf(w, "ok    %s, %d tests\n", name, len(results))
	return err
}

func printTAP(w io.Writer, _ string, results []policy.TestResult) error {
	fmt.Fprintf(w, "TAP version 13\n1..%d\n", len(results))
	for i, r := range results {
		if r.Failure == "" {
			fmt.Fprintf(w, "ok %d - %s\n", i+1, r.Name)
			continue
		}
		fmt.Fprintf(w, "not ok %d - %s\n  ---\n  message: %q\n  at: %q\n  ...\n", i+1, r.Name, r.Failure, r.At)
	}
	return nil
}

// The elements of a JUnit report that readers agree on.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
	}
)

func printJUnit(w io.Writer, name string, results []policy.TestResult) error {
	s := junitSuite{Name: name, Tests: len(results), Failures: failures(results)}
	for _, r := range results {
		c := junitCase{Name: r.Name, Class: "policy", File: r.At}
		if r.Failure != "" {
			c.Failure = &junitFailure{r.Failure}
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func printTestsJSON(w io.Writer, _ string, results []policy.TestResult) error {
	type result struct {
		Name    string       `json:"name"`
		At      string       `json:"at"`
		OK      bool         `json:"ok"`
		Failure string       `json:"failure,omitempty"`
		Verdict call.Verdict `json:"verdict"`
		Rule    string       `json:"rule"`
	}
	out := make([]result, len(results))
	for i, r := range results {
		out[i] = result{r.Name, r.At, r.Failure == "", r.Failure, r.Decision.Verdict, r.Decision.Rule}
	}
	return printJSON(w, out)
}
