using System.CommandLine;

namespace Ka.Cli.Commands;

/// <summary><c>ka env torrent NAME</c>: the torrent of a public environment's image, for any BitTorrent client.</summary>
static class TorrentCommand
{
    public static Command Build()
    {
        var name = new Argument<string>("NAME") { Description = "NAME or NAME:VERSION" };
        var file = new Option<string?>("--file", "-f") { Description = "Where it is written (default: NAME.torrent)" };
        var command = new Command("torrent", "Write the .torrent of a public environment's image") { name, file };
        command.SetAction((parsed, cancel) => RunAsync(parsed, parsed.GetValue(name)!, parsed.GetValue(file), cancel));
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, string text, string? file, CancellationToken cancel)
    {
        var (name, version) = text.Split(':', 2) is [var first, var second] ? (first, second) : (text, null);
        using var server = Common.Connect(parsed);
        var reply = await server.GetBytesAsync(
            $"api/v1/environments/{Uri.EscapeDataString(name)}/torrent{(version is null ? "" : "?version=" + Uri.EscapeDataString(version))}", cancel);
        if (reply.Value is not { } torrent)
            return Terminal.Say(reply.Problem!);
        var path = file ?? name + ".torrent";
        try
        {
            await File.WriteAllBytesAsync(path, torrent, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"ka: {path} cannot be written: {e.Message}");
            return ExitCodes.BadData;
        }
        Console.WriteLine(path);
        return ExitCodes.Done;
    }
}
