using System.CommandLine;
using System.Text;
using Ka.Cli.Consoles;
using Ka.Protocol.Rest;
using Microsoft.Win32.SafeHandles;

namespace Ka.Cli.Commands;

/// <summary><c>ka console [NODE]</c>: a node's serial console through the server.</summary>
static class ConsoleCommand
{
    public static Command Build()
    {
        var node = new Argument<string?>("NODE") { Description = "Node; without one, who is at which console is listed", Arity = ArgumentArity.ZeroOrOne };
        var watch = new Option<bool>("--watch") { Description = "Only read; several may, beside one who writes" };
        var log = new Option<bool>("--log") { Description = "Print what the node printed while somebody was at its console" };
        var escape = new Option<string>("--escape") { Description = "Character that detaches at the beginning of a line, with a full stop after it; none for none", DefaultValueFactory = _ => "~" };
        escape.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is { } text && EscapeOf(text, out _) is { } wrong)
                result.AddError(wrong);
        });
        var command = new Command("console", "Open a node's serial console; it is recorded, and ends with the right on the node") { node, watch, log, escape };
        command.SetAction((parsed, cancel) => (parsed.GetValue(node), parsed.GetValue(log)) switch
        {
            (null or "", _) => ListAsync(parsed, cancel),
            (var name, true) => LogAsync(parsed, name, cancel),
            var (name, _) => AttachAsync(parsed, name, parsed.GetValue(watch), parsed.GetValue(escape)!, cancel),
        });
        return command;
    }

    /// <summary>Why a text is no escape character; null when it is one.</summary>
    static string? EscapeOf(string text, out byte? escape)
    {
        escape = text.Length == 1 && char.IsAscii(text[0]) ? (byte)text[0] : null;
        return text == "none" || (escape is not null && text[0] is not ('.' or '\r' or '\n')) ? null : $"'{text}' is no escape character: one ASCII character or 'none' is expected";
    }

    static async Task<int> ListAsync(ParseResult parsed, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync("api/v1/consoles", RestJson.Default.ConsoleReplyArray, cancel);
        if (reply.Value is not { } seats)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(seats, RestJson.Default.ConsoleReplyArray);
        else
            Terminal.Table(["NODE", "USER", "MODE", "SINCE"], seats.Select(s => (string[])[s.Node, s.User, s.Mode, $"{s.Since:yyyy-MM-dd HH:mm:ss}Z"]));
        return ExitCodes.Done;
    }

    static async Task<int> LogAsync(ParseResult parsed, string node, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetBytesAsync($"api/v1/consoles/{Uri.EscapeDataString(node)}/log", cancel);
        if (reply.Value is not { } recorded)
            return Terminal.Say(reply.Problem!);
        await using var output = Console.OpenStandardOutput();
        // A file gets every byte; a terminal nothing that moves or colours it.
        await output.WriteAsync(Console.IsOutputRedirected ? recorded : Encoding.UTF8.GetBytes(Terminal.Safe(Encoding.UTF8.GetString(recorded).Replace("\r", "", StringComparison.Ordinal))), cancel);
        return ExitCodes.Done;
    }

    static async Task<int> AttachAsync(ParseResult parsed, string node, bool watch, string escape, CancellationToken cancel)
    {
        EscapeOf(escape, out var character);
        using var server = Common.Connect(parsed);
        var path = $"api/v1/consoles/{Uri.EscapeDataString(node)}?watch={(watch ? "true" : "false")}";
        // A WebSocket that is refused does not say why; this does.
        if (await server.GetAsync(path, RestJson.Default.ConsoleReplyArray, cancel) is { Problem: { } refused })
            return Terminal.Say(refused);
        var opened = await server.OpenSocketAsync(path, cancel);
        if (opened.Value is not { } socket)
            return Terminal.Say((await server.GetAsync(path, RestJson.Default.ConsoleReplyArray, cancel)).Problem ?? opened.Problem!);
        using (socket)
        {
            if (!parsed.GetValue(Common.Quiet))
                Console.Error.WriteLine(Terminal.Safe($"console of {node}{(watch ? ", read only" : "")}{(character is { } c ? $"; leave with {(char)c}. at the beginning of a line" : "")}"));
            using var ends = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            ConsoleNote? note;
            await using (var screen = Console.OpenStandardOutput())
            await using (var keys = new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0))
            using (RawTerminal.Enter(0, ends.Cancel))
                note = await new ConsoleTalk(socket, screen, watch && Console.IsInputRedirected ? null : keys, new EscapeKeys(character), !watch).RunAsync(ends.Token);
            if (!Console.IsOutputRedirected)
                Console.Error.WriteLine();
            if (ends.IsCancellationRequested)
                return ExitCodes.Left;
            return note?.Code is { } code ? Terminal.Say(new Problem(null, null, 0, note.Message, code, null, note.Evidence, null)) : ExitCodes.Done;
        }
    }
}
