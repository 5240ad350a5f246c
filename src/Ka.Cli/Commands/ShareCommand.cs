using System.CommandLine;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka env share NAME [--after-test NODE]</c>: others see a version, by wish only after it was deployed well.</summary>
static class ShareCommand
{
    public static Command Build()
    {
        var name = new Argument<string>("NAME") { Description = "NAME (its highest version) or NAME:VERSION" };
        var node = new Option<string?>("--after-test") { Description = "Deploy it to this node first and share it only when that succeeded; what is on the node is lost" };
        var visibility = new Option<string>("--visibility") { Description = "shared, or public: its name then means it to everybody (operators)", DefaultValueFactory = _ => "shared" };
        visibility.AcceptOnlyFromAmong("shared", "public");
        var yes = new Option<bool>("--yes", "-y") { Description = "Do not ask before the node is erased" };
        var timeout = new Option<int?>("--timeout") { Description = "Stop waiting for the test after so many seconds; nothing is shared then" };
        var command = new Command("share", "Let others see and deploy a version") { name, node, visibility, yes, timeout };
        command.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            var found = await server.GetAsync(EnvCommands.PathOf(parsed.GetValue(name)!), RestJson.Default.EnvironmentReply, cancel);
            if (found.Value is not { } environment)
                return Terminal.Say(found.Problem!);
            var tags = new TagsBody { Visibility = parsed.GetValue(visibility) };
            if (parsed.GetValue(node) is { } nodes && await TestAsync(server, parsed, environment, tags, nodes, !parsed.GetValue(yes), parsed.GetValue(timeout), cancel) is { } failed)
                return failed;
            var reply = await EnvTagCommands.TagAsync(server, environment, tags, cancel);
            if (reply.Value is not { } shared)
                return Terminal.Say(reply.Problem!);
            if (!Common.IsJson(parsed))
                Console.WriteLine(Terminal.Safe($"{shared.Name}:{shared.Version} {shared.Visibility}"));
            else if (parsed.GetValue(node) is null)
                Terminal.Json(shared, RestJson.Default.EnvironmentReply);
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>Null when the environment was deployed well; else the exit status, with the reason said.</summary>
    static async Task<int?> TestAsync(Server server, ParseResult parsed, EnvironmentReply environment, TagsBody tags, string nodes, bool ask, int? timeout, CancellationToken cancel)
    {
        var word = $"{environment.Name}:{environment.Version}";
        if (AuthorizedKeys.Read(wanted: false, null) is not { } keys)
            return ExitCodes.BadData;
        // Who may not share it in the end erases no node for it.
        if ((await EnvTagCommands.TagAsync(server, environment, tags with { DryRun = true }, cancel)).Problem is { } notYours)
            return Terminal.Say(notYours);
        if (ask && !Console.IsInputRedirected && Terminal.IsLive)
        {
            Console.Error.Write(Terminal.Safe($"Erase {nodes} and install {word} there? [y/N] "));
            if (Console.ReadLine()?.Trim().ToLowerInvariant() is not ("y" or "yes"))
                return ExitCodes.Cancelled;
        }
        var accepted = await server.CreateAsync("api/v1/deployments", new DeployBody(word, nodes, keys, DryRun: false), RestJson.Default.DeployBody, RestJson.Default.OperationReply, cancel);
        if (accepted.Value is not { } operation)
            return Terminal.Say(accepted.Problem!);
        var (status, ended) = await Following.RunAsync(server, operation, parsed, verbose: false, timeout, cancel);
        if (ended is null || status != ExitCodes.Done)
        {
            Console.Error.WriteLine(Terminal.Safe(
                $"ka: {word} is not shared, it stays {environment.Visibility}: its test has not succeeded\n  next: ka ops show {operation.Id}, then ka env share {word} --after-test {nodes}"));
            return status;
        }
        var after = await server.GetAsync(EnvCommands.PathOf(word), RestJson.Default.EnvironmentReply, cancel);
        if (after.Value is not { } now)
            return Terminal.Say(after.Problem!);
        if (now.Sha256 == environment.Sha256 && now.RegisteredAt == environment.RegisteredAt)
            return null;
        Console.Error.WriteLine(Terminal.Safe($"ka: {word} is not shared: it was registered anew while it was tested\n  next: ka env share {word} --after-test {nodes}"));
        return ExitCodes.BadData;
    }
}
