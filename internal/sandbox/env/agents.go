package env

import (
	"slices"
	"strings"
)

// An Agent is what a program that agents are known by needs of the
// environment.
type Agent struct {
	Names []string // settings, for Options.Preset
	Keys  []string // credentials, for Options.Keys
}

// For a list of what agents read: their documentation of settings. Names that
// could carry a credential stand under keys only.
var (
	claude = Agent{
		Names: names("ANTHROPIC_BASE_URL ANTHROPIC_MODEL ANTHROPIC_SMALL_FAST_MODEL ANTHROPIC_DEFAULT_OPUS_MODEL ANTHROPIC_DEFAULT_SONNET_MODEL ANTHROPIC_DEFAULT_HAIKU_MODEL ANTHROPIC_LOG " +
			"CLAUDE_CONFIG_DIR CLAUDE_CODE_MAX_OUTPUT_TOKENS CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_VERTEX " +
			"DISABLE_TELEMETRY DISABLE_ERROR_REPORTING DISABLE_AUTOUPDATER MAX_THINKING_TOKENS BASH_DEFAULT_TIMEOUT_MS BASH_MAX_TIMEOUT_MS MCP_TIMEOUT MCP_TOOL_TIMEOUT IS_SANDBOX"),
		Keys: names("ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN"),
	}
	codex    = Agent{Names: names("OPENAI_BASE_URL OPENAI_ORG_ID OPENAI_ORGANIZATION OPENAI_PROJECT CODEX_HOME RUST_LOG"), Keys: names("OPENAI_API_KEY CODEX_API_KEY")}
	gemini   = Agent{Names: names("GEMINI_MODEL GOOGLE_CLOUD_PROJECT GOOGLE_CLOUD_LOCATION GOOGLE_GENAI_USE_VERTEXAI GOOGLE_GENAI_USE_GCA"), Keys: names("GEMINI_API_KEY GOOGLE_API_KEY")}
	copilot  = Agent{Names: names("COPILOT_MODEL COPILOT_PROVIDER_BASE_URL COPILOT_OFFLINE COPILOT_AUTO_UPDATE"), Keys: names("COPILOT_PROVIDER_API_KEY COPILOT_GITHUB_TOKEN GH_TOKEN GITHUB_TOKEN")}
	opencode = Agent{
		Names: names("OPENCODE_CONFIG OPENCODE_CONFIG_DIR OPENCODE_DISABLE_MODELS_FETCH OPENCODE_DISABLE_AUTOUPDATE"),
		Keys:  names("ANTHROPIC_API_KEY OPENAI_API_KEY OPENROUTER_API_KEY GROQ_API_KEY XAI_API_KEY MISTRAL_API_KEY DEEPSEEK_API_KEY"),
	}
	aider = Agent{Names: names("AIDER_MODEL AIDER_WEAK_MODEL AIDER_EDITOR_MODEL OPENAI_API_BASE"), Keys: names("OPENAI_API_KEY ANTHROPIC_API_KEY OPENROUTER_API_KEY DEEPSEEK_API_KEY GEMINI_API_KEY")}
)

// Of returns what the agent of that name (package agent) needs; for one that is not
// known, nothing.
func Of(name string) Agent {
	switch name {
	case "claude":
		return claude
	case "codex":
		return codex
	case "gemini":
		return gemini
	case "copilot":
		return copilot
	case "opencode":
		return opencode
	case "aider":
		return aider
	}
	return Agent{}
}

// Withheld returns the names of keys of agents that from, an environment, has and
// vars, what a command gets of it, has not.
func Withheld(from, vars []string) (all []string) {
	has := func(vars []string, name string) bool {
		return slices.ContainsFunc(vars, func(v string) bool { return len(v) > len(name)+1 && strings.HasPrefix(v, name+"=") })
	}
	for _, a := range []Agent{claude, codex, gemini, copilot, opencode, aider} {
		for _, name := range a.Keys {
			if !slices.Contains(all, name) && has(from, name) && !has(vars, name) {
				all = append(all, name)
			}
		}
	}
	return all
}
