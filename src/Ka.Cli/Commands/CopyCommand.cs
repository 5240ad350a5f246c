using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Ka.Broadcast;
using Ka.Broadcast.Standalone;
using Ka.Cli.Live;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Protocol.Agents;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary>
/// <c>ka copy SRC -w NODES DST</c>: a file or tree to running nodes, by the broadcast's own chain. The nodes are reached by ssh with the
/// caller's own key; the agent's program comes and goes with it.
/// </summary>
static class CopyCommand
{
    /// <summary>Nodes to which the agent's program is sent at once.</summary>
    const int Window = 16;

    const string Script = "trap 'rm -rf \"$PWD\"' EXIT\ngzip -d ka-agent.gz && chmod 700 ka-agent && ./ka-agent receive order\n";

    static readonly Argument<string> From = new("SRC") { Description = "File, or directory whose content is copied" };
    static readonly Argument<string> To = new("DST") { Description = "Absolute path on the nodes: a file (DIR/ keeps the name of SRC), or the directory that gets what SRC holds" };
    static readonly Option<string> Nodes = new("--nodes", "-w") { Description = "Node set", Required = true };
    static readonly Option<string?> Identity = new("--identity", "-i") { Description = "Private key for ssh as root (default: ssh's own)" };
    static readonly Option<string?> Listen = new("--listen", "-l") { Description = "Address that the nodes reach (default: the one that faces the first node)" };
    static readonly Option<int> Wait = new("--wait") { Description = "Seconds to await nodes; then go with those that have come", DefaultValueFactory = _ => 300 };

    public static Command Build()
    {
        var command = new Command("copy", "Copy a file or tree to running nodes, all at once") { From, To, Nodes, Identity, Listen, Wait, StragglerOptions.Policy, StragglerOptions.Floor };
        command.SetAction(RunAsync);
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        var (source, target) = (Path.GetFullPath(parsed.GetValue(From)!), parsed.GetValue(To)!);
        var isTree = Directory.Exists(source);
        if (!isTree && !File.Exists(source))
            return Terminal.Misused($"there is no file or directory '{source}'");
        if (!Path.IsPathRooted(target) || target.Any(char.IsControl))
            return Terminal.Misused($"DST is '{target}', expected an absolute path on the nodes");
        if (!NodeSet.TryParse(parsed.GetValue(Nodes)!, NodeSetContext.Plain, out var set, out var error))
            return Terminal.Misused($"-w: {error}");
        if (StragglerOptions.Of(parsed, out var stragglers) is { } unknown)
            return Terminal.Misused(unknown);
        IPAddress? own = null;
        if (parsed.GetValue(Listen) is { } address && !IPAddress.TryParse(address, out own))
            return Terminal.Misused($"--listen is '{address}', expected an address");
        using var server = Common.Connect(parsed);
        var (nodes, problem) = await FindAsync(server, set, cancel);
        if (problem is not null)
            return Terminal.Say(problem);
        var program = await server.GetBytesAsync("api/v1/agent", cancel);
        if (program.Value is null)
            return Terminal.Say(program.Problem!);
        if (!isTree && target.EndsWith('/'))
            target += Path.GetFileName(source);
        var work = Directory.CreateTempSubdirectory("ka-copy-").FullName;
        try
        {
            // Compressed once, and sent to each node.
            var agent = Path.Combine(work, "ka-agent.gz");
            await using (var compressed = new GZipStream(File.Create(agent), CompressionLevel.Optimal))
                await compressed.WriteAsync(program.Value, cancel);
            var file = isTree ? await PackAsync(source, Path.Combine(work, "tree.tar"), cancel) : source;
            if (file is null)
                return Terminal.Misused($"'{source}' could not be packed; tar says why above");
            var key = BroadcastKey.Create();
            _ = BroadcastKey.TryParse(key, out var parsedKey);
            var sender = new StandaloneSender(new SendRequest(
                file, Verified: true, new Invitation(new IPEndPoint(own ?? Facing(nodes[0].Address), 0), parsedKey!, [.. nodes.Select(n => n.Name)], nodes.Length, TimeSpan.FromSeconds(parsed.GetValue(Wait)), ChainOptions.Default))
            {
                Stragglers = stragglers!,
            });
            var talk = parsed.GetValue(Common.Quiet) ? null : new SendTalk(sender);
            var sending = Task.Run(() => sender.Run(() => talk?.Look(), cancel), cancel);
            var at = await sender.Listening;
            var mode = isTree ? 0 : (int)File.GetUnixFileMode(source);
            await StartAllAsync(nodes, work, agent, parsed.GetValue(Identity), sender, name => new CopyOrder(at.ToString(), key, name, target, isTree, mode, parsed.GetValue(Wait)), cancel);
            var fault = await sending;
            var status = BroadcastCommands.Summary(sender);
            return fault is null ? status : BroadcastCommands.Say(fault);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>Where the nodes are and how their host keys are known; the first problem where one is not known.</summary>
    static async Task<(ImmutableArray<NodeSshReply> Nodes, Problem? Problem)> FindAsync(Server server, NodeSet set, CancellationToken cancel)
    {
        var found = ImmutableArray.CreateBuilder<NodeSshReply>();
        foreach (var name in set)
        {
            var reply = await server.GetAsync($"api/v1/nodes/{Uri.EscapeDataString(name.Value)}/ssh", RestJson.Default.NodeSshReply, cancel);
            if (reply.Value is not { } node)
                return ([], reply.Problem);
            found.Add(node);
        }
        return found.Count > 0 ? (found.ToImmutable(), null) : ([], new Problem(null, null, 0, "the node set is empty", FaultCodes.NodesEmpty.Text, null, null, null));
    }

    /// <summary>Owners by number, access lists and attributes as they are.</summary>
    static async Task<string?> PackAsync(string directory, string file, CancellationToken cancel)
    {
        using var tar = Process.Start(new ProcessStartInfo("tar", ["-c", "--numeric-owner", "--xattrs", "--acls", "--sparse", "-f", file, "-C", directory, "."]))!;
        await tar.WaitForExitAsync(cancel);
        return tar.ExitCode == 0 ? file : null;
    }

    /// <summary>The local address from which packets to another go (no packet is sent).</summary>
    static IPAddress Facing(string address)
    {
        using var socket = new Socket(SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(address, 9);
        var local = ((IPEndPoint)socket.LocalEndPoint!).Address;
        return local.IsIPv4MappedToIPv6 ? local.MapToIPv4() : local;
    }

    /// <summary>Starts a receiver on every node; one that cannot be started is awaited no longer. Returns when all have ended.</summary>
    static async Task StartAllAsync(
        ImmutableArray<NodeSshReply> nodes, string work, string agent, string? identity, StandaloneSender sender, Func<string, CopyOrder> orderOf, CancellationToken cancel)
    {
        using var window = new SemaphoreSlim(Window);
        await Task.WhenAll(nodes.Select(async node =>
        {
            var why = await StartAsync(node, work, agent, identity, window, orderOf(node.Name), cancel);
            if (why is not null)
                sender.Withdraw(node.Name, why);
        }));
    }

    /// <summary>Null when the receiver has ended well; else what ssh or the receiver said.</summary>
    static async Task<string?> StartAsync(NodeSshReply node, string work, string agent, string? identity, SemaphoreSlim window, CopyOrder order, CancellationToken cancel)
    {
        if (node.HostKeys.IsEmpty && node.AuthorityKey is null)
            return "it was never deployed by this server, so its host key is not known";
        var known = Path.Combine(work, "known-" + node.Name);
        await File.WriteAllTextAsync(known, SshCommand.KnownHosts(node), cancel);
        await window.WaitAsync(cancel);
        var isSent = false;
        try
        {
            var start = new ProcessStartInfo("ssh", ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", .. SshCommand.Arguments(node, known, "root", identity, [RemoteScript.Receive])])
            {
                RedirectStandardInput = true, RedirectStandardError = true, RedirectStandardOutput = true,
            };
            using var ssh = Process.Start(start)!;
            var said = ssh.StandardError.ReadToEndAsync(cancel);
            _ = ssh.StandardOutput.ReadToEndAsync(cancel);
            try
            {
                await RemoteScript.SendAsync([new("ka-agent.gz", agent, null), new("order", null, JsonSerializer.Serialize(order, AgentJson.Default.CopyOrder)), new("go", null, Script)], ssh.StandardInput.BaseStream, cancel);
                ssh.StandardInput.Close();
            }
            catch (IOException)
            {
                // ssh has ended; it says why
            }
            window.Release();
            isSent = true;
            await ssh.WaitForExitAsync(cancel);
            return ssh.ExitCode == 0 ? null : $"{(await said).Trim().Split('\n')[^1]} (status {ssh.ExitCode})";
        }
        finally
        {
            if (!isSent)
                window.Release();
        }
    }
}
