using System.Collections.Immutable;

namespace Ka.Server.Telemetry;

/// <summary>Headers for a collector, often a secret: a file with <c>NAME: VALUE</c> on each line, empty lines and such with <c>#</c> left out. The exporter takes no value with a comma.</summary>
public static class OtlpHeaders
{
    /// <summary>Most bytes of the file.</summary>
    const int SizeLimit = 64 << 10;

    /// <exception cref="FormatException">A line is no header; the message names its number and nothing of its content.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static ImmutableArray<KeyValuePair<string, string>> Read(string path)
    {
        if (new FileInfo(path) is { Exists: true, Length: > SizeLimit })
            throw new FormatException($"it is longer than {SizeLimit} bytes");
        var headers = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
        foreach (var (i, line) in File.ReadLines(path).Index())
        {
            if (line.Trim().Length == 0 || line.StartsWith('#'))
                continue;
            var parts = line.Split(':', 2, StringSplitOptions.TrimEntries);
            if (parts is not [{ Length: > 0 } name, { Length: > 0 } value] || !name.All(IsOfName) || !value.All(c => c is >= ' ' and <= '~' and not ','))
                throw new FormatException($"line {i + 1} is not NAME: VALUE, or has a comma");
            headers.Add(new(name, value));
        }
        return headers.ToImmutable();
    }

    /// <summary>As OpenTelemetry's own options take them: <c>name=value,…</c>, percent-encoded.</summary>
    public static string Written(ImmutableArray<KeyValuePair<string, string>> headers) => string.Join(',', headers.Select(h => $"{h.Key}={Uri.EscapeDataString(h.Value)}"));

    static bool IsOfName(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.';
}
