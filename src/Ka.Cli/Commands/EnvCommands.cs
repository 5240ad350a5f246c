using System.Collections.Immutable;
using System.CommandLine;
using System.Security.Cryptography;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka env apply|ls|show|rm</c>, and its neighbours.</summary>
static class EnvCommands
{
    public static Command Build()
    {
        var env = new Command("env", "The catalogue of environments");
        var file = new Option<string>("--file", "-f") { Description = "Description (YAML), or its http or https address; the files it names lie beside it", Required = true };
        var apply = new Command("apply", "Register an environment from its description") { file };
        apply.SetAction((parsed, cancel) => ApplyAsync(parsed, parsed.GetValue(file)!, cancel));
        env.Add(apply);
        var labels = new Option<string[]>("--label", "-l") { Description = "Only those with this label: KEY=VALUE or KEY, any number" };
        var list = new Command("ls", "List environments") { labels };
        list.SetAction((parsed, cancel) => ListAsync(parsed, parsed.GetValue(labels) ?? [], cancel));
        env.Add(list);
        var name = new Argument<string>("NAME") { Description = "NAME or NAME:VERSION" };
        var show = new Command("show", "Show one environment") { name };
        show.SetAction((parsed, cancel) => ShowAsync(parsed, parsed.GetValue(name)!, cancel));
        env.Add(show);
        var gone = new Argument<string>("NAME:VERSION") { Description = "Exactly one version" };
        var remove = new Command("rm", "Remove a version and the files nobody else uses") { gone };
        remove.SetAction((parsed, cancel) => RemoveAsync(parsed, parsed.GetValue(gone)!, cancel));
        env.Add(remove);
        var rendered = new Argument<string>("NAME") { Description = "NAME or NAME:VERSION" };
        var path = new Argument<string?>("PATH") { Description = "One file; all of them when left out", Arity = ArgumentArity.ZeroOrOne };
        var node = new Option<string>("--nodes", "-w") { Description = "The node", Required = true };
        var render = new Command("render", "Show the files of an environment as a node would get them") { rendered, path, node };
        render.SetAction((parsed, cancel) => RenderAsync(parsed, parsed.GetValue(rendered)!, parsed.GetValue(node)!, parsed.GetValue(path), cancel));
        env.Add(render);
        env.Add(EnvTagCommands.Set());
        env.Add(ShareCommand.Build());
        env.Add(EnvTagCommands.Diff());
        env.Add(EnvTagCommands.Export());
        env.Add(EnvTagCommands.Collect());
        env.Add(TorrentCommand.Build());
        env.Add(ImportCommand.Build());
        env.Add(Neighbours.EnvBuild());
        return env;
    }

    static async Task<int> ApplyAsync(ParseResult parsed, string file, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var (done, status) = await RegisterAsync(server, file, cancel);
        if (done is null)
            return status;
        if (Common.IsJson(parsed))
            Terminal.Json(done, RestJson.Default.ApplyReply);
        else
            Console.WriteLine($"{done.Environment.Name}:{done.Environment.Version} {done.Change} (sha256:{done.Environment.Sha256[..12]}…, {Terminal.Size(done.Environment.Bytes)}, {(done.Environment.Kernel.Length > 0 ? "kernel " + done.Environment.Kernel : done.Environment.Kind)})");
        return ExitCodes.Done;
    }

    /// <summary>Sends a description and the files that it names. Null with an exit status when it is not registered.</summary>
    internal static async Task<(ApplyReply? Reply, int Status)> RegisterAsync(Server server, string file, CancellationToken cancel)
    {
        var (document, status) = await NamedFiles.SendAsync(file, "api/v1/environments/files", "environment.invalid", server, cancel);
        if (document is null)
            return (null, status);
        var applied = await server.PostAsync("api/v1/environments", document, RestJson.Default.ApplyBody, RestJson.Default.ApplyReply, cancel);
        return applied.Value is { } done ? (done, ExitCodes.Done) : (null, Terminal.Say(applied.Problem!));
    }

    static async Task<int> ListAsync(ParseResult parsed, string[] labels, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync("api/v1/environments" + (labels.Length == 0 ? "" : "?" + RightsCommands.Query([.. labels.Select(l => ("label", (string?)l))])), RestJson.Default.EnvironmentReplyArray, cancel);
        if (reply.Value is not { } environments)
            return Terminal.Say(reply.Problem!);
        switch (parsed.GetValue(Common.Output))
        {
            case OutputForm.Json:
                Terminal.Json(environments, RestJson.Default.EnvironmentReplyArray);
                break;
            case OutputForm.Name or OutputForm.Nodeset:
                foreach (var e in environments)
                    Console.WriteLine($"{e.Name}:{e.Version}");
                break;
            case OutputForm.Table:
                Terminal.Table(
                    ["NAME", "VERSION", "ARCH", "SIZE", "OWNER", "VISIBLE", "CHANGED", "DESCRIPTION"],
                    environments.Select(e => new[] { e.Name, e.Version.ToString(), e.Arch, Terminal.Size(e.Bytes), e.Owner, e.Visibility, Terminal.Ago(e.RegisteredAt, DateTimeOffset.UtcNow), e.Description }));
                break;
        }
        return ExitCodes.Done;
    }

    static (string Name, string? Version) Split(string text) => text.Split(':', 2) is [var name, var version] ? (name, version) : (text, null);

    /// <summary>The route of an environment.</summary>
    /// <param name="text"><c>NAME</c> or <c>NAME:VERSION</c>.</param>
    /// <param name="part">As in <c>/diff</c>.</param>
    internal static string PathOf(string text, string part = "", string query = "")
    {
        var (name, version) = Split(text);
        var words = string.Join('&', new[] { version is null ? "" : "version=" + Uri.EscapeDataString(version), query }.Where(w => w.Length > 0));
        return $"api/v1/environments/{Uri.EscapeDataString(name)}{part}{(words.Length > 0 ? "?" + words : "")}";
    }

    static async Task<int> ShowAsync(ParseResult parsed, string text, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync(PathOf(text), RestJson.Default.EnvironmentReply, cancel);
        if (reply.Value is not { } e)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
        {
            Terminal.Json(e, RestJson.Default.EnvironmentReply);
            return ExitCodes.Done;
        }
        Terminal.Table(["KEY", "VALUE"],
        [
            ["name", $"{e.Name}:{e.Version}"], ["description", e.Description], ["owner", e.Owner], ["visibility", e.Visibility], ["destructive", e.Destructive ? "yes" : "no"], ["alias", e.Alias ?? ""], ["labels", EnvTagCommands.Labels(e)], ["os", $"{e.Os} {e.Arch}"],
            ["image", $"{e.Kind}, {e.Compression}, {Terminal.Size(e.Bytes)}, unpacks to {Terminal.Size(e.UnpackedBytes)}"], ["digest", "sha256:" + e.Sha256],
            ["filesystem", e.FileSystem], ["kernel", e.Kernel], ["initrd", e.Initrd ?? ""], ["params", string.Join(' ', e.Params)], ["post-installs", string.Join(", ", e.PostInstalls)],
        ]);
        return ExitCodes.Done;
    }

    static async Task<int> RenderAsync(ParseResult parsed, string text, string node, string? path, CancellationToken cancel)
    {
        var (name, version) = Split(text);
        using var server = Common.Connect(parsed);
        var query = $"node={Uri.EscapeDataString(node)}{(path is null ? "" : "&path=" + Uri.EscapeDataString(path))}{(version is null ? "" : "&version=" + Uri.EscapeDataString(version))}";
        var reply = await server.GetAsync($"api/v1/environments/{Uri.EscapeDataString(name)}/render?{query}", RestJson.Default.RenderReply, cancel);
        if (reply.Value is not { } found)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(found, RestJson.Default.RenderReply);
        else if (path is not null)
            Console.Write(found.Files[0].Text);
        else
            foreach (var file in found.Files)
                Console.Write($"==> {Terminal.Safe(file.Path)} ({file.Mode})\n{file.Text}\n");
        return ExitCodes.Done;
    }

    static async Task<int> RemoveAsync(ParseResult parsed, string text, CancellationToken cancel)
    {
        if (Split(text) is not (var name, { } version) || !int.TryParse(version, out _))
        {
            Console.Error.WriteLine($"ka: '{text}' names no version; say NAME:VERSION");
            return ExitCodes.Usage;
        }
        using var server = Common.Connect(parsed);
        if (await server.DeleteAsync($"api/v1/environments/{Uri.EscapeDataString(name)}/{version}", cancel) is { } problem)
            return Terminal.Say(problem);
        Console.Error.WriteLine($"{text} removed");
        return ExitCodes.Done;
    }
}
