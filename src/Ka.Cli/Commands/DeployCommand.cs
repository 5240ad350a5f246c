using System.CommandLine;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka deploy ENV -w NODES</c>.</summary>
static class DeployCommand
{
    public static Command Build()
    {
        var environment = new Argument<string?>("ENV") { Description = "Environment: NAME or NAME:VERSION", Arity = ArgumentArity.ZeroOrOne };
        var described = new Option<string?>("--env-file") { Description = "In place of ENV: register what this description says (a file, or an http or https address), then install it" };
        var command = new Command("deploy", "Install an environment on nodes") { environment };
        var selection = new Selection(command);
        var keys = new Option<string?>("--key", "-k") { Description = "Public ssh keys for root (default: your own)", Arity = ArgumentArity.ZeroOrOne };
        var verify = new Option<string?>("--verify") { Description = "Read the disk back: none, sample or full (default: the cluster's, else sample)" };
        verify.AcceptOnlyFromAmong("none", "sample", "full");
        command.Add(described);
        command.Add(keys);
        command.Add(verify);
        var manner = new Manner(command);
        var wishes = new DeployWishes(command);
        var waves = new Waves(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (manner.Misused(parsed) is { } misused)
                return misused;
            if (waves.Wanted(parsed) && manner.NoWait(parsed))
                return Terminal.Misused("--no-wait cannot go with --waves: a wave begins when the one before has ended");
            if (selection.Read(parsed, out var wrong) is not { } nodes)
                return wrong;
            if (AuthorizedKeys.Read(parsed.GetResult(keys) is not null, parsed.GetValue(keys)) is not { } authorized)
                return ExitCodes.BadData;
            if (parsed.GetValue(environment) is null == parsed.GetValue(described) is null)
                return Terminal.Misused("name an environment, or its description with --env-file");
            using var server = Common.Connect(parsed);
            var name = parsed.GetValue(environment);
            if (parsed.GetValue(described) is { } file)
            {
                var (applied, status) = await EnvCommands.RegisterAsync(server, file, cancel);
                if (applied is null)
                    return status;
                name = $"{applied.Environment.Name}:{applied.Environment.Version}";
            }
            var (body, unread) = await wishes.OverAsync(new DeployBody(name!, nodes, authorized, DryRun: true, parsed.GetValue(verify)), parsed, server, cancel);
            return body is null ? unread : await RunAsync(parsed, body, manner, waves, server, cancel);
        });
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, DeployBody body, Manner manner, Waves waves, Server server, CancellationToken cancel)
    {
        if (manner.DryRun(parsed) || manner.Asks(parsed) || waves.Wanted(parsed))
        {
            var plan = await server.PostAsync("api/v1/deployments", body, RestJson.Default.DeployBody, RestJson.Default.PlanReply, cancel);
            if (plan.Value is not { } would)
                return Terminal.Say(plan.Problem!);
            if (manner.DryRun(parsed) && Common.IsJson(parsed))
                Terminal.Json(would, RestJson.Default.PlanReply);
            else if (manner.DryRun(parsed) || manner.Asks(parsed))
                Show(would);
            if (manner.DryRun(parsed))
            {
                Console.Error.WriteLine("Nothing was changed.");
                return ExitCodes.Done;
            }
            if (would.Count > 0 && manner.Asks(parsed))
            {
                Console.Error.Write($"Erase and install {would.Count} node(s)? [y/N] ");
                if (Console.ReadLine()?.Trim().ToLowerInvariant() is not ("y" or "yes"))
                    return ExitCodes.Cancelled;
            }
            if (waves.Wanted(parsed))
                return await waves.RunAsync(parsed, body, would, manner, server, cancel);
        }
        var accepted = await server.CreateAsync("api/v1/deployments", body with { DryRun = false }, RestJson.Default.DeployBody, RestJson.Default.OperationReply, cancel);
        return accepted.Value is { } operation ? await manner.EndAsync(server, parsed, operation, cancel) : Terminal.Say(accepted.Problem!);
    }

    static void Show(PlanReply plan)
    {
        if (plan.Skipped is { } skipped)
            Console.WriteLine(Terminal.Safe($"Would leave alone, because they have {plan.Environment} already: {skipped}"));
        if (plan.Count == 0)
            return;
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
}
