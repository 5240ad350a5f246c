using System.Collections.Immutable;
using System.CommandLine;
using Ka.Cli.Live;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka deploy ENV -w NODES</c>.</summary>
static class DeployCommand
{
    public static Command Build()
    {
        var environment = new Argument<string>("ENV") { Description = "Environment: NAME or NAME:VERSION" };
        var nodes = new Option<string?>("--nodes", "-w") { Description = "Node set, as in node[1-4,7]" };
        var file = new Option<string?>("--nodes-file") { Description = "File with node sets, one a line; - is standard input" };
        var keys = new Option<string?>("--key", "-k") { Description = "Public ssh keys for root (default: your own)", Arity = ArgumentArity.ZeroOrOne };
        var verify = new Option<string?>("--verify") { Description = "Read the disk back: none, sample or full (default: the cluster's, else sample)" };
        verify.AcceptOnlyFromAmong("none", "sample", "full");
        var dryRun = new Option<bool>("--dry-run") { Description = "Show the plan and change nothing" };
        var wait = new Option<bool>("--wait") { Description = "Follow to the end (default)" };
        var noWait = new Option<bool>("--no-wait") { Description = "Return as soon as the server has accepted" };
        var yes = new Option<bool>("--yes", "-y") { Description = "Do not ask" };
        var timeout = new Option<int?>("--timeout") { Description = "Stop watching after so many seconds; the operation goes on" };
        var verbose = new Option<bool>("--verbose", "-v") { Description = "Every step of every node" };
        var command = new Command("deploy", "Install an environment on nodes") { environment, nodes, file, keys, verify, dryRun, wait, noWait, yes, timeout, verbose };
        var wishes = new DeployWishes(command);
        command.SetAction((parsed, cancel) => RunAsync(
            parsed, parsed.GetValue(environment)!, parsed.GetValue(nodes), parsed.GetValue(file),
            parsed.GetResult(keys) is not null, parsed.GetValue(keys),
            new Manner(parsed.GetValue(dryRun), parsed.GetValue(noWait), parsed.GetValue(yes), parsed.GetValue(timeout), parsed.GetValue(verbose), parsed.GetValue(verify)), wishes, cancel));
        return command;
    }

    sealed record Manner(bool DryRun, bool NoWait, bool Yes, int? Timeout, bool Verbose, string? Verify);

    static async Task<int> RunAsync(
        ParseResult parsed, string environment, string? nodes, string? nodesFile, bool withKeys, string? keyFile, Manner manner,
        DeployWishes wishes, CancellationToken cancel)
    {
        if (nodes is null && nodesFile is null)
        {
            Console.Error.WriteLine("ka: name the nodes with -w or --nodes-file; an empty selection never means all  (nodes.empty)");
            return ExitCodes.Usage;
        }
        if (ReadNodes(nodes, nodesFile) is not { } set || ReadKeys(withKeys, keyFile) is not { } keys)
            return ExitCodes.BadData;
        using var server = Common.Connect(parsed);
        var (body, unread) = await wishes.OverAsync(new DeployBody(environment, set, keys, DryRun: true, manner.Verify), parsed, server, cancel);
        if (body is null)
            return unread;
        var ask = !manner.DryRun && !manner.Yes && !Console.IsInputRedirected && Terminal.IsLive;
        if (manner.DryRun || ask)
        {
            var plan = await server.PostAsync("api/v1/deployments", body, RestJson.Default.DeployBody, RestJson.Default.PlanReply, cancel);
            if (plan.Value is null)
                return Terminal.Say(plan.Problem!);
            if (manner.DryRun && Common.IsJson(parsed))
                Terminal.Json(plan.Value, RestJson.Default.PlanReply);
            else
                Show(plan.Value);
            if (manner.DryRun)
            {
                Console.Error.WriteLine("Nothing was changed.");
                return ExitCodes.Done;
            }
            Console.Error.Write($"Erase and install {plan.Value.Count} node(s)? [y/N] ");
            if (Console.ReadLine()?.Trim().ToLowerInvariant() is not ("y" or "yes"))
                return ExitCodes.Cancelled;
        }
        var accepted = await server.PostAsync("api/v1/deployments", body with { DryRun = false }, RestJson.Default.DeployBody, RestJson.Default.OperationReply, cancel);
        if (accepted.Value is not { } operation)
            return Terminal.Say(accepted.Problem!);
        if (manner.NoWait)
        {
            if (Common.IsJson(parsed))
                Terminal.Json(operation, RestJson.Default.OperationReply);
            else
                Console.WriteLine(operation.Id);
            return ExitCodes.Done;
        }
        return await Following.RunAsync(server, operation, parsed, manner.Verbose, manner.Timeout, cancel);
    }

    static void Show(PlanReply plan)
    {
        var steps = string.Join(" → ", plan.Steps.Select(m => string.Join(", else ", m.Strategies.Select(s => s.Name.ToLowerInvariant() + (s.Retries > 0 ? $" (again {s.Retries}×)" : "")))));
        Console.WriteLine($"Would deploy {plan.Environment} (sha256:{plan.Sha256[..12]}…, {Terminal.Size(plan.Bytes)}, unpacks to {Terminal.Size(plan.UnpackedBytes)}) on {plan.Count} node(s): {plan.Nodes}");
        foreach (var erases in plan.Erases)
            Console.WriteLine($"  disks     {erases}");
        Console.WriteLine($"  steps     {steps}");
        if (plan.Broadcast is { } broadcast)
            Console.WriteLine(Terminal.Safe($"  broadcast {broadcast}"));
        foreach (var leftOut in plan.LeftOut)
            Console.WriteLine($"  left out  {leftOut}");
        if (plan.BootProfile is { } boots)
        {
            Console.WriteLine($"  boots     {Said("kernel", boots.Kernel)}{(boots.Initrd is { } initrd ? ", " + Said("initrd", initrd) : "")} from the network, until another deployment");
            Console.WriteLine(Terminal.Safe($"            {boots.Node}: {boots.Params}"));
        }
        if (plan.Breakpoint is { } breakpoint)
            Console.WriteLine($"  stops     before {breakpoint}; the nodes are left as they are");
    }

    static string Said(string what, PlannedFile file) => Terminal.Safe($"{what} {file.Path} (sha256:{file.Sha256[..12]}…, {Terminal.Size(file.Bytes)})");

    static string? ReadNodes(string? nodes, string? file)
    {
        if (file is null)
            return nodes;
        try
        {
            var lines = (file == "-" ? Console.In.ReadToEnd() : File.ReadAllText(file)).Split('\n').Select(l => l.Split('#')[0].Trim()).Where(l => l.Length > 0);
            return string.Join(',', nodes is null ? lines : lines.Prepend(nodes));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"ka: {file} cannot be read: {e.Message}  (nodes.invalid)");
            return null;
        }
    }

    static ImmutableArray<string>? ReadKeys(bool wanted, string? file)
    {
        if (!wanted)
            return [];
        var home = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".ssh");
        string[] candidates = file is not null ? [file] : [.. new[] { "id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub", "authorized_keys" }.Select(n => Path.Combine(home, n))];
        if (candidates.FirstOrDefault(File.Exists) is not { } found)
        {
            Console.Error.WriteLine(file is null ? $"ka: no public key in {home}; make one (ssh-keygen) or name a file: -k FILE" : $"ka: the key file {file} does not exist");
            return null;
        }
        return [.. File.ReadAllLines(found).Select(l => l.Trim()).Where(l => l.Length > 0 && l[0] != '#')];
    }
}
