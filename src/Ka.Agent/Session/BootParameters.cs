using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Ka.Protocol.Agents;

namespace Ka.Agent.Session;

/// <summary>How the agent finds and recognises its server; from the kernel command line.</summary>
/// <param name="Fingerprint">SHA-256 of the server's certificate (DER): 64 lower-case hex digits.</param>
/// <param name="Credential">Single-use credential; null when the command line has none, which only a test's server accepts.</param>
sealed record BootParameters(string Host, int Port, string Fingerprint, string? Credential, string Nonce)
{
    /// <param name="commandLine">The text of <c>/proc/cmdline</c>. Of a parameter given twice the last counts, as in the kernel.</param>
    /// <param name="errors">Every reason why the agent cannot start.</param>
    public static bool TryParse(string commandLine, [NotNullWhen(true)] out BootParameters? parameters, out ImmutableArray<string> errors)
    {
        var given = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var word in commandLine.Split([' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
            {
                given[word[..equals]] = word[(equals + 1)..].Trim('"');
            }
        }
        var found = ImmutableArray.CreateBuilder<string>();
        var server = given.GetValueOrDefault(AgentProtocol.ServerParameter);
        var (host, port) = Address(server);
        if (host is null)
        {
            found.Add($"{AgentProtocol.ServerParameter}=HOST:PORT is expected on the kernel command line, found '{server}'");
        }
        var fingerprint = given.GetValueOrDefault(AgentProtocol.FingerprintParameter)?.Replace(":", "", StringComparison.Ordinal).ToLowerInvariant() ?? "";
        if (fingerprint.Length != 64 || !fingerprint.All(char.IsAsciiHexDigit))
        {
            found.Add($"{AgentProtocol.FingerprintParameter}= must have 64 hexadecimal digits, it has {fingerprint.Length}");
        }
        errors = found.ToImmutable();
        parameters = errors.IsEmpty
            ? new BootParameters(host!, port, fingerprint, given.GetValueOrDefault(AgentProtocol.CredentialParameter), given.GetValueOrDefault(AgentProtocol.NonceParameter) ?? "")
            : null;
        return parameters is not null;
    }

    /// <summary>The authority part of URLs, with brackets around an IPv6 address.</summary>
    public string Authority => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";

    static (string? Host, int Port) Address(string? text)
    {
        var colon = text?.LastIndexOf(':') ?? -1;
        return colon > 0 && int.TryParse(text![(colon + 1)..], out var port) && port is > 0 and < 65536
            ? (text[..colon].Trim('[', ']'), port)
            : (null, 0);
    }
}
