using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace Ka.Cli;

/// <summary>A server that somebody works with, under a short name. Holds no secret: tokens and passwords are in files.</summary>
/// <param name="Server"><c>unix:PATH</c> or <c>https://HOST:PORT</c>.</param>
/// <param name="Certificate">PEM file that says who calls, with its key in <paramref name="Key"/>.</param>
/// <param name="Ca">The only authority or certificate to believe (PEM).</param>
public sealed record ServerContext(string Name, string Server, string? TokenFile = null, string? Ca = null, string? User = null, string? PasswordFile = null, string? Certificate = null, string? Key = null);

/// <summary>All contexts of a person, and the one that is meant when none is named.</summary>
public sealed partial record Contexts(string? Current, ImmutableArray<ServerContext> Servers)
{
    /// <summary>Most contexts of one file, and its largest size in bytes.</summary>
    const int Most = 1000, MostBytes = 1 << 20;

    public static readonly Contexts None = new(null, []);

    /// <summary>Where they are kept: an option, KA_CONTEXTS, or <c>ka/contexts.json</c> in the directory of the XDG configuration.</summary>
    public static string PathOf(string? option, Func<string, string?> variable) =>
        option ?? variable("KA_CONTEXTS") ?? Path.Combine(variable("XDG_CONFIG_HOME") ?? Path.Combine(variable("HOME") ?? "/", ".config"), "ka", "contexts.json");

    public ServerContext? Find(string name) => Servers.FirstOrDefault(s => s.Name == name);

    /// <summary>A name can stand before a colon in a node set.</summary>
    public static bool IsName(string name) => Name().IsMatch(name);

    /// <summary>With this one in place of another of its name.</summary>
    public Contexts With(ServerContext server) => this with { Servers = [.. Servers.Where(s => s.Name != server.Name).Append(server).OrderBy(s => s.Name, StringComparer.Ordinal)] };

    public Contexts Without(string name) => new(Current == name ? null : Current, Servers.RemoveAll(s => s.Name == name));

    /// <summary>None when there is no file; with a sentence when it cannot be read as one.</summary>
    public static (Contexts Contexts, string? Wrong) Read(string path)
    {
        try
        {
            if (!File.Exists(path))
                return (None, null);
            if (new FileInfo(path).Length > MostBytes)
                return (None, $"{path} has more than {MostBytes} bytes");
            var read = JsonSerializer.Deserialize(File.ReadAllText(path), ContextJson.Default.Contexts);
            return read is null || read.Servers.IsDefault ? (None, $"{path} holds no contexts")
                : read.Servers.Length > Most ? (None, $"{path} has more than {Most} contexts")
                : read.Servers.FirstOrDefault(s => s.Name is null || !IsName(s.Name) || !IsAddress(s.Server)) is { } bad ? (None, $"{path}: '{bad.Name}' has no name or no address of a server")
                : (read, null);
        }
        catch (JsonException e)
        {
            return (None, $"{path}:{e.LineNumber + 1}:{e.BytePositionInLine + 1}: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (None, e.Message);
        }
    }

    /// <summary>Whether it is <c>unix:PATH</c> or <c>https://HOST[:PORT]</c>.</summary>
    public static bool IsAddress(string? text) =>
        text is not null && (text.StartsWith("unix:/", StringComparison.Ordinal) || (Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http" && uri.Host.Length > 0));

    /// <summary>Whole or not at all.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var part = $"{path}.{Environment.ProcessId}";
        File.WriteAllText(part, JsonSerializer.Serialize(this, ContextJson.Default.Contexts) + "\n");
        File.Move(part, path, overwrite: true);
    }

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    private static partial Regex Name();
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true, AllowDuplicateProperties = false,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, MaxDepth = 8)]
[JsonSerializable(typeof(Contexts))]
sealed partial class ContextJson : JsonSerializerContext;
