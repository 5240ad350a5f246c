using System.Collections.Immutable;
using System.CommandLine;
using Ka.Cli.Commands;
using Ka.Core.Documents;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Kadeploy3;

/// <summary>
/// <c>-M</c> of Kadeploy3: every server that is known is asked which nodes it has, and what was asked for becomes <c>NAME:NODES</c>, which
/// ka carries out on each server beside the others. A server that does not answer is left out; nothing is begun when a node has no server, or two.
/// </summary>
static class OldServers
{
    /// <summary>How long a server may take to answer before it is left out.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>A server that answers, with its nodes.</summary>
    sealed record Answering(string Name, NodeSet Nodes);

    /// <summary>The call for all servers that answer; null, with the reason said and the exit status, when it cannot be.</summary>
    /// <param name="parsed">The call as it was translated, for one server.</param>
    public static async Task<(OldCall? Call, int Status)> DivideAsync(OldCall call, ParseResult parsed, CancellationToken cancel)
    {
        var (contexts, wrong) = Contexts.Read(Common.ContextsPath(parsed));
        if (wrong is not null)
            return Refused($"{wrong}  (config.invalid)", ExitCodes.BadConfiguration);
        if (contexts.Servers.IsEmpty)
            return Refused("--multi-server: no server is known; add each with 'ka context add NAME --server ADDRESS'", ExitCodes.Usage);
        var command = parsed.CommandResult.Command;
        var option = command.Options.OfType<NodesOption>().FirstOrDefault();
        var written = option is null ? null : Selection.Written(parsed, option)?.Nodes;
        if (written is null && ValueAfter(call.Words, "--nodes-file") is { } file)
            return Refused($"{file} cannot be read  (nodes.invalid)", ExitCodes.BadData);
        var single = command.Name == "console" ? parsed.GetValue<string?>("NODE") : null;
        var set = NodeSet.Empty;
        if ((written ?? single) is { } text && text != "*" && !NodeSet.TryParse(text, out set, out var error))
            return Refused($"node set: {error}  ({error.Code})", ExitCodes.BadData);
        var (servers, status) = await AskAsync(contexts, parsed, cancel);
        if (servers is null)
            return (null, status);
        if (single is not null)
            return Divided(servers, set) is { } whose ? (On(call, [.. whose.Select(w => w.Name)]), ExitCodes.Done) : (null, ExitCodes.BadData);
        if (written is null)
            return (On(call, [.. servers.Select(s => s.Name)]), ExitCodes.Done);
        var parts = written == "*" ? [.. servers.Select(s => $"{s.Name}:*")] : Divided(servers, set)?.SelectMany(p => Selection.Terms(p.Nodes.ToString()).Select(t => $"{p.Name}:{t}"));
        return parts is null ? (null, ExitCodes.BadData) : (call with { Words = [.. Without(call.Words), "-w", string.Join(',', parts)] }, ExitCodes.Done);
    }

    /// <summary>All servers that answer; null, with the reason said, when there is none or one refuses to say its nodes.</summary>
    static async Task<(Answering[]? Servers, int Status)> AskAsync(Contexts contexts, ParseResult parsed, CancellationToken cancel)
    {
        var answers = await Task.WhenAll(contexts.Servers.Select(async c => (c.Name, Answer: await NodesOfAsync(Common.AddressOf(parsed, c), cancel))));
        foreach (var (name, answer) in answers.Where(a => a.Answer.Problem is { Code: "server.unreachable" }))
            Console.Error.WriteLine(Terminal.Safe($"{name} is left out: {answer.Problem!.Detail}"));
        foreach (var (name, answer) in answers.Where(a => a.Answer.Problem is not (null or { Code: "server.unreachable" })))
        {
            Console.Error.WriteLine(Terminal.Safe($"{name} does not say which nodes it has, so nothing is begun:"));
            return (null, Terminal.Say(answer.Problem!));
        }
        Answering[] servers = [.. answers.Where(a => a.Answer.Value is not null).Select(a => new Answering(a.Name, NodeSet.FromNames(a.Answer.Value!.Select(n => NodeName.Parse(n.Name)))))];
        return servers.Length > 0 ? (servers, ExitCodes.Done) : (null, Refused("--multi-server: no server answers  (server.unreachable)", ExitCodes.Unreachable).Status);
    }

    static async Task<Answer<NodeReply[]>> NodesOfAsync(ServerAddress address, CancellationToken cancel)
    {
        using var server = new Server(address);
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        late.CancelAfter(Patience);
        try
        {
            return await server.GetAsync("api/v1/nodes?fields=name", RestJson.Default.NodeReplyArray, late.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return new Answer<NodeReply[]>(null, new Problem(null, null, 0, $"the server at {address.Address} does not answer in {Patience.TotalSeconds} s", "server.unreachable", null, null, null));
        }
    }

    /// <summary>Each server with its part of the nodes; null, with the reason said, when a node is of none or of two.</summary>
    static Answering[]? Divided(Answering[] servers, NodeSet asked)
    {
        Answering[] parts = [.. servers.Select(s => s with { Nodes = s.Nodes & asked }).Where(s => !s.Nodes.IsEmpty)];
        var (seen, twice) = (NodeSet.Empty, NodeSet.Empty);
        foreach (var part in parts)
            (seen, twice) = (seen | part.Nodes, twice | (seen & part.Nodes));
        if (!(asked - seen).IsEmpty)
            Refused($"no server that answers has {DocumentError.Cut((asked - seen).ToString())}  (nodes.unknown)", ExitCodes.BadData);
        if (!twice.IsEmpty)
            Refused($"{DocumentError.Cut(twice.ToString())}: more than one server has this, {string.Join(" and ", parts.Where(p => !(p.Nodes & twice).IsEmpty).Select(p => p.Name))}; name one with -S", ExitCodes.BadData);
        if (asked.IsEmpty)
            Refused("No node is chosen  (nodes.empty)", ExitCodes.BadData);
        return seen == asked && twice.IsEmpty && !asked.IsEmpty ? parts : null;
    }

    static OldCall On(OldCall call, string[] names) => call with { Words = [.. call.Words, "--context", string.Join(',', names)] };

    static string? ValueAfter(ImmutableArray<string> words, string option) => words.IndexOf(option) is >= 0 and var at ? words[at + 1] : null;

    /// <summary>Without what says the nodes.</summary>
    static ImmutableArray<string> Without(ImmutableArray<string> words)
    {
        foreach (var option in (string[])["-w", "--nodes-file"])
            if (words.IndexOf(option) is >= 0 and var at)
                words = words.RemoveRange(at, 2);
        return words;
    }

    static (OldCall? Call, int Status) Refused(string why, int status)
    {
        Console.Error.WriteLine(Terminal.Safe("ka: " + why));
        return (null, status);
    }
}
