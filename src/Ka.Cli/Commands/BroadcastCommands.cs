using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Net;
using Ka.Broadcast;
using Ka.Broadcast.Standalone;
using Ka.Cli.Live;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Core.NodeSets;

namespace Ka.Cli.Commands;

/// <summary><c>ka bcast</c>: one file to many machines by a chain, without a server.</summary>
static class BroadcastCommands
{
    static readonly Option<FileInfo> Key = new("--key") { Description = "File with the broadcast's key, the same on all machines (ka bcast key FILE)", Required = true };

    public static Command Build() => new("bcast", "Send a file to many machines at once, without a server") { MakeKey(), Send(), Receive() };

    static Command MakeKey()
    {
        var file = new Argument<FileInfo>("FILE") { Description = "Where the key is written; only its owner may read it" };
        var encrypt = new Option<bool>("--encrypt") { Description = "What is sent with this key is encrypted (TLS 1.3)" };
        var command = new Command("key", "Make a key for sender and receivers") { file, encrypt };
        command.SetAction(parsed =>
        {
            var path = parsed.GetValue(file)!.FullName;
            try
            {
                using var stream = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
                using var writer = new StreamWriter(stream);
                writer.WriteLine(parsed.GetValue(encrypt) ? BroadcastKey.Encrypted(BroadcastKey.Create()) : BroadcastKey.Create());
                return ExitCodes.Done;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return Terminal.Misused($"the key cannot be written: {e.Message}");
            }
        });
        return command;
    }

    static Command Send()
    {
        var file = new Argument<FileInfo>("FILE") { Description = "What is sent; - for what comes in at the standard input, as long as it comes" };
        var listen = new Option<string>("--listen", "-l") { Description = "ADDRESS:PORT where receivers come to", Required = true };
        var nodes = new Option<string?>("--nodes", "-w") { Description = "Names of the receivers that are awaited, in the order of the chain" };
        var count = new Option<int?>("--count", "-n") { Description = "Go when so many receivers have come" };
        var wait = new Option<int>("--wait") { Description = "Seconds to await receivers; then go with those that have come", DefaultValueFactory = _ => 60 };
        var plain = new Option<bool>("--no-verify") { Description = "Prove nothing that arrives; for measurements" };
        var hold = new Option<int>("--hold") { Description = "MiB of a stream (-) that are held for those who fall behind", DefaultValueFactory = _ => 256 };
        var command = new Command("send", "Send a file to the receivers that come") { file, listen, Key, nodes, count, wait, plain, hold, StragglerOptions.Policy, StragglerOptions.Floor };
        command.SetAction((parsed, cancel) => Task.Run(() => SendFile(parsed), cancel));
        return command;

        int SendFile(ParseResult parsed)
        {
            if (!IPEndPoint.TryParse(parsed.GetValue(listen)!, out var at) || at.Port == 0)
                return Terminal.Misused($"--listen is '{parsed.GetValue(listen)}', expected ADDRESS:PORT");
            if (KeyOf(parsed, out var key) is { } bad)
                return Terminal.Misused(bad);
            ImmutableArray<string> names = [];
            if (parsed.GetValue(nodes) is { } words)
            {
                if (!NodeSet.TryParse(words, NodeSetContext.Plain, out var set, out var error))
                    return Terminal.Misused($"-w: {error}");
                names = [.. set.Select(n => n.Value)];
            }
            if (names.IsEmpty && parsed.GetValue(count) is not > 0)
                return Terminal.Misused("say who is awaited: -w NODES, or --count N");
            if (StragglerOptions.Of(parsed, out var stragglers) is { } unknown)
                return Terminal.Misused(unknown);
            var source = parsed.GetValue(file)!;
            var invitation = new Invitation(at, key!, names, parsed.GetValue(count) ?? names.Length, TimeSpan.FromSeconds(parsed.GetValue(wait)), ChainOptions.Default);
            if (source.ToString() == "-")
                return parsed.GetValue(plain) ? Terminal.Misused("--no-verify is for files: a stream is proved piece by piece")
                    : parsed.GetValue(hold) is < 64 or > 1024 * 1024 ? Terminal.Misused("--hold is 64 to 1048576 MiB")
                    : SendLive(invitation, parsed.GetValue(hold), parsed.GetValue(Common.Quiet));
            return source.Exists
                ? CarryOut(new StandaloneSender(new SendRequest(source.FullName, !parsed.GetValue(plain), invitation) { Stragglers = stragglers! }), parsed.GetValue(Common.Quiet))
                : Terminal.Misused($"there is no file '{source}'");
        }
    }

    static int SendLive(Invitation invitation, int hold, bool isQuiet)
    {
        using var input = Console.OpenStandardInput();
        var request = new LiveRequest(input, Path.GetTempPath(), invitation);
        return CarryOut(new LiveSender(request with { Held = (int)(hold * 1024L * 1024 / request.PieceBytes) }), isQuiet);
    }

    static int CarryOut(IStandaloneSender sender, bool isQuiet)
    {
        var talk = isQuiet ? null : new SendTalk(sender);
        return sender.Run(() => talk?.Look(), CancellationToken.None) is { } fault ? Say(fault) : Summary(sender);
    }

    internal static int Summary(IStandaloneSender sender)
    {
        var states = sender.States;
        foreach (var state in states.Where(s => s.State != "done"))
            Console.WriteLine(Terminal.Safe($"{state.Name}: {state.State}: {state.Message}  ({state.Code})"));
        var slow = states.Where(s => s.Slow is not null).ToArray();
        foreach (var state in slow.Where(s => s.State == "done"))
            Console.WriteLine(Terminal.Safe($"{state.Name}: done, but {state.Slow}"));
        if (slow.Length > 0)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"the others had it after {states.Except(slow).Max(s => s.Took?.TotalSeconds ?? 0):0.00} s"));
        foreach (var line in states.Select(Mended).OfType<string>())
            Console.WriteLine(Terminal.Safe(line));
        var done = states.Count(s => s.State == "done");
        var twice = states.Sum(s => s.State == "done" ? Math.Max(0, s.Progress!.BytesIn - sender.Bytes) : 0);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{done} of {states.Length} have it: {sender.Bytes} bytes in {sender.Took.TotalSeconds:0.00} s; the sender sent {sender.BytesOut} bytes, {twice} came twice"));
        return done == states.Length ? ExitCodes.Done : done == 0 ? ExitCodes.AllFailed : ExitCodes.SomeFailed;
    }

    /// <summary>What came wrong to a receiver and from whom it took no more; null when nothing did.</summary>
    internal static string? Mended(ReceiverState state) => state.Progress is { BadChunks: > 0 } progress
        ? $"{state.Name}: {progress.BadChunks} chunks came wrong and were mended with {progress.Refetched} bytes"
            + (progress.Dropped.Count > 0 ? $"; it took no more from {string.Join(", ", progress.Dropped)}" : "")
        : null;

    static Command Receive()
    {
        var from = new Option<string>("--from") { Description = "ADDRESS:PORT of the sender", Required = true };
        var name = new Option<string?>("--name") { Description = "Name of this receiver (default: the host's)" };
        var listen = new Option<string?>("--listen", "-l") { Description = "Address for the next in the chain (default: the one that reaches the sender)" };
        var to = new Option<string[]>("--to") { Description = "File, made anew, or block device that it is written to, or null; may be given several times" };
        var wait = new Option<int>("--wait") { Description = "Seconds to seek the sender", DefaultValueFactory = _ => 60 };
        var ring = new Option<string?>("--ring") { Description = "Memory for what the next ones have not taken yet, such as 64MiB (default: 32MiB, encrypted 24MiB)" };
        var program = new Argument<string[]>("PROGRAM") { Description = "After --: a program that gets it as its input, with its arguments", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("recv", "Receive what a sender sends, and pass it on to the next") { from, Key, name, listen, to, wait, ring, program };
        command.SetAction(async (parsed, cancel) =>
        {
            if (!IPEndPoint.TryParse(parsed.GetValue(from)!, out var sender) || sender.Port == 0)
                return Terminal.Misused($"--from is '{parsed.GetValue(from)}', expected ADDRESS:PORT");
            IPAddress? own = null;
            if (parsed.GetValue(listen) is { } address && !IPAddress.TryParse(address, out own))
                return Terminal.Misused($"--listen is '{address}', expected an address");
            if (KeyOf(parsed, out var key) is { } bad)
                return Terminal.Misused(bad);
            if (RingOf(parsed.GetValue(ring), out var ringBytes) is { } unfit)
                return Terminal.Misused(unfit);
            var words = parsed.GetValue(program) ?? [];
            var places = parsed.GetValue(to) ?? [];
            if (words.Length == 0 && places.Length == 0)
                return Terminal.Misused("say where it goes: --to FILE, or -- PROGRAM ARGUMENTS, or both");
            ReceivingSink sink;
            try
            {
                sink = new ReceivingSink(places, words);
            }
            catch (IOException e)
            {
                return Terminal.Misused($"it cannot be written: {e.Message}");
            }
            using (sink)
            {
                var receiver = new StandaloneReceiver(new ReceiveRequest(
                    sender, own, parsed.GetValue(name) ?? Environment.MachineName, key!, TimeSpan.FromSeconds(parsed.GetValue(wait)), ChainOptions.Default with { RingBytes = ringBytes }));
                var fault = await receiver.Run(sink.Stream, cancel);
                fault ??= await sink.Finish(cancel);
                return fault is null ? ExitCodes.Done : Say(fault);
            }
        });
        return command;
    }

    /// <summary>Null, or what is wrong with the size.</summary>
    static string? RingOf(string? text, out int? bytes)
    {
        bytes = null;
        if (text is null)
            return null;
        if (!Quantity.TryParseSize(text, out var size) || size is < ChainOptions.LeastRing or > ChainOptions.LargestRing)
            return $"--ring is '{text}', expected a size from 4MiB to 1GiB";
        bytes = (int)size;
        return null;
    }

    static string? KeyOf(ParseResult parsed, out BroadcastKey? key)
    {
        key = null;
        try
        {
            return BroadcastKey.TryParse(File.ReadAllText(parsed.GetValue(Key)!.FullName).Trim(), out key) ? null : $"{parsed.GetValue(Key)} holds no key: expected 64 hexadecimal digits, after tls- where it is encrypted (ka bcast key FILE)";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"the key cannot be read: {e.Message}";
        }
    }

    internal static int Say(Fault fault)
    {
        Terminal.Say(fault);
        return ExitCodes.AllFailed;
    }
}
