using System.Collections.Immutable;
using System.Security.Cryptography;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary>Documents that name files beside them: what the server finds named is sent before the document itself.</summary>
static class NamedFiles
{
    /// <summary>Most bytes of a document that comes from an address.</summary>
    const int AddressLimit = 1 << 20;

    static readonly TimeSpan AddressPatience = TimeSpan.FromSeconds(30);

    /// <summary>Reads a document, asks the server which files it names and sends those that the server lacks. Null with an exit status when one cannot be.</summary>
    /// <param name="route">Where the server tells the paths that a document names.</param>
    /// <param name="code">Of the faults that are found here.</param>
    public static async Task<(ApplyBody? Document, int Status)> SendAsync(string file, string route, string code, Server server, CancellationToken cancel)
    {
        var (document, _, status) = await ReadAsync(file, route, code, server, send: true, cancel);
        return (document, status);
    }

    /// <param name="send">False only makes the digests of the named files.</param>
    public static async Task<(ApplyBody? Document, DescriptionFiles? Named, int Status)> ReadAsync(string file, string route, string code, Server server, bool send, CancellationToken cancel)
    {
        string text;
        try
        {
            text = IsAddress(file) ? await FetchAsync(file, cancel) : await File.ReadAllTextAsync(file, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or HttpRequestException or TimeoutException)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: {file} cannot be read: {e.Message}  ({code})"));
            return (null, null, ExitCodes.BadData);
        }
        var document = new ApplyBody(file, text, ImmutableDictionary<string, string>.Empty);
        var named = await server.PostAsync(route, document, RestJson.Default.ApplyBody, RestJson.Default.DescriptionFiles, cancel);
        if (named.Value is not { } files)
            return (null, null, Terminal.Say(named.Problem!));
        var digests = ImmutableDictionary.CreateBuilder<string, string>();
        foreach (var path in files.Paths)
        {
            if (Locate(path, file, code) is not { } local)
                return (null, null, ExitCodes.BadData);
            await using (var stream = File.OpenRead(local))
                digests[path] = Convert.ToHexStringLower(await SHA256.HashDataAsync(stream, cancel));
            if (send && await server.SendFileAsync(local, digests[path], cancel) is { } problem)
                return (null, null, Terminal.Say(problem));
        }
        return (document with { Files = digests.ToImmutable() }, files, ExitCodes.Done);
    }

    static bool IsAddress(string place) => Uri.TryCreate(place, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && place.Contains("://", StringComparison.Ordinal);

    /// <exception cref="HttpRequestException">It was not to be had, or is longer than any document.</exception>
    /// <exception cref="TimeoutException">Nobody answered.</exception>
    static async Task<string> FetchAsync(string address, CancellationToken cancel)
    {
        using var client = new HttpClient { Timeout = AddressPatience, MaxResponseContentBufferSize = AddressLimit };
        try
        {
            return await client.GetStringAsync(address, cancel);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new TimeoutException($"there was no answer for {AddressPatience.TotalSeconds:0} s");
        }
    }

    /// <summary>A path of a document as a file here: bare or local:// beside the document.</summary>
    static string? Locate(string path, string document, string code)
    {
        var plain = path.StartsWith("local://", StringComparison.Ordinal) ? path["local://".Length..] : path;
        if (plain.Contains("://", StringComparison.Ordinal))
        {
            Console.Error.WriteLine($"ka: '{path}': only files of this machine can be registered yet; fetch it first  ({code})");
            return null;
        }
        if (IsAddress(document))
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: {document} names '{path}', a file beside it: what comes from an address names addresses only; fetch both first  ({code})"));
            return null;
        }
        var full = Path.GetFullPath(plain, Path.GetDirectoryName(Path.GetFullPath(document))!);
        if (File.Exists(full))
            return full;
        Console.Error.WriteLine($"ka: {document} names '{path}', which does not exist ({full})  ({code})");
        return null;
    }
}
