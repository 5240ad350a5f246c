using System.CommandLine;
using System.Diagnostics;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka ssh NODE [COMMAND…]</c>: ssh that knows the node's key, also right after a new deployment.</summary>
static class SshCommand
{
    public static Command Build()
    {
        var node = new Argument<string?>("NODE") { Description = "Node", Arity = ArgumentArity.ZeroOrOne };
        var words = new Argument<string[]>("COMMAND") { Description = "What to run there; nothing for a shell", Arity = ArgumentArity.ZeroOrMore };
        var user = new Option<string>("--login", "-l") { Description = "User to log in as (default: root)", DefaultValueFactory = _ => "root" };
        var identity = new Option<string?>("--identity", "-i") { Description = "Private key" };
        var known = new Option<bool>("--known-hosts") { Description = "Print the lines for ~/.ssh/known_hosts instead, of NODE" };
        var command = new Command("ssh", "Log in to a deployed node; its host key is known to the server") { node, words, user, identity, known };
        command.SetAction((parsed, cancel) => RunAsync(parsed, parsed.GetValue(node), parsed.GetValue(words) ?? [], parsed.GetValue(user)!, parsed.GetValue(identity), parsed.GetValue(known), cancel));
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, string? node, string[] words, string user, string? identity, bool known, CancellationToken cancel)
    {
        if (string.IsNullOrEmpty(node))
            return Terminal.Misused("name a node: ka ssh NODE  (nodes.empty)");
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync($"api/v1/nodes/{Uri.EscapeDataString(node)}/ssh", RestJson.Default.NodeSshReply, cancel);
        if (reply.Value is not { } found)
            return Terminal.Say(reply.Problem!);
        if (known)
        {
            Console.Write(KnownHosts(found));
            return ExitCodes.Done;
        }
        if (found.HostKeys.IsEmpty)
        {
            Console.Error.WriteLine($"ka: {found.Name} was never deployed by this server, so its host key is not known  (ssh.unreachable)");
            return ExitCodes.AllFailed;
        }
        var file = Path.Combine(Path.GetTempPath(), $"ka-known-{Guid.NewGuid():n}");
        try
        {
            await File.WriteAllTextAsync(file, KnownHosts(found), cancel);
            return await SshAsync(Arguments(found, file, user, identity, words));
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>The node under its name and its address (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").</summary>
    internal static string KnownHosts(NodeSshReply node) => string.Concat(
        (node.AuthorityKey is { } authority ? new[] { $"@cert-authority {node.Name},{node.Address} {authority}\n" } : [])
            .Concat(node.HostKeys.Select(k => $"{node.Name},{node.Address} {k}\n")));

    internal static IEnumerable<string> Arguments(NodeSshReply node, string knownHosts, string user, string? identity, string[] words) =>
    [
        "-o", $"UserKnownHostsFile={knownHosts}", "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes", "-o", $"HostKeyAlias={node.Name}",
        "-l", user, .. identity is null ? Array.Empty<string>() : ["-i", identity], node.Address, .. words,
    ];

    static async Task<int> SshAsync(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("ssh");
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        // Ctrl-C is for the program on the other side.
        Console.CancelKeyPress += (_, pressed) => pressed.Cancel = true;
        try
        {
            using var process = Process.Start(start)!;
            await process.WaitForExitAsync(CancellationToken.None);
            return process.ExitCode;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Console.Error.WriteLine("ka: ssh is not installed: apt-get install openssh-client");
            return ExitCodes.Unreachable;
        }
    }
}
