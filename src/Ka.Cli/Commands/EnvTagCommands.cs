using System.Collections.Immutable;
using System.CommandLine;
using System.Security.Cryptography;
using Ka.Core.Documents;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka env set|diff|export|gc</c>: what is done with registered environments beside deploying them.</summary>
static class EnvTagCommands
{
    public static Command Set()
    {
        var name = new Argument<string>("NAME") { Description = "NAME (its highest version) or NAME:VERSION" };
        var visibility = new Option<string?>("--visibility") { Description = "private, shared or public" };
        visibility.AcceptOnlyFromAmong("private", "shared", "public");
        var destructive = new Option<bool?>("--destructive") { Description = "Whether deploying it destroys what others need: true or false" };
        var toggle = new Option<bool>("--toggle-destructive") { Description = "The other of the two" };
        var alias = new Option<string?>("--alias") { Description = "Another name that leads to it; empty for none" };
        var labels = new Option<string[]>("--label") { Description = "KEY=VALUE, any number; KEY= alone takes a label away" };
        var command = new Command("set", "Change visibility, destructive tag, alias and labels of a registered version") { name, visibility, destructive, toggle, alias, labels };
        command.SetAction(async (parsed, cancel) =>
        {
            var changes = ImmutableDictionary.CreateBuilder<string, string?>(StringComparer.Ordinal);
            foreach (var label in parsed.GetValue(labels) ?? [])
            {
                if (label.Split('=', 2) is not [{ Length: > 0 } key, var value])
                    return Terminal.Misused($"--label '{label}' is not KEY=VALUE");
                changes[key] = value.Length > 0 ? value : null;
            }
            var body = new TagsBody
            {
                Visibility = parsed.GetValue(visibility), Destructive = parsed.GetValue(destructive), ToggleDestructive = parsed.GetValue(toggle), Alias = parsed.GetValue(alias),
                Labels = changes.Count > 0 ? changes.ToImmutable() : null,
            };
            if (body == new TagsBody())
                return Terminal.Misused("say what is to change: --visibility, --destructive, --toggle-destructive, --alias or --label");
            using var server = Common.Connect(parsed);
            var found = await server.GetAsync(EnvCommands.PathOf(parsed.GetValue(name)!), RestJson.Default.EnvironmentReply, cancel);
            if (found.Value is not { } environment)
                return Terminal.Say(found.Problem!);
            var reply = await TagAsync(server, environment, body, cancel);
            if (reply.Value is not { } changed)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(changed, RestJson.Default.EnvironmentReply);
            else
                Console.WriteLine(Terminal.Safe($"{changed.Name}:{changed.Version} {changed.Visibility}{(changed.Destructive ? ", destructive" : "")}{(changed.Alias is { } also ? ", alias " + also : "")}{(changed.Labels.IsEmpty ? "" : ", " + Labels(changed))}"));
            return ExitCodes.Done;
        });
        return command;
    }

    internal static Task<Answer<EnvironmentReply>> TagAsync(Server server, EnvironmentReply environment, TagsBody tags, CancellationToken cancel) => server.PostAsync(
        $"api/v1/environments/{Uri.EscapeDataString(environment.Name)}/{environment.Version}/tags", tags, RestJson.Default.TagsBody, RestJson.Default.EnvironmentReply, cancel);

    internal static string Labels(EnvironmentReply environment) => string.Join(' ', environment.Labels.Select(l => $"{l.Key}={l.Value}"));

    public static Command Diff()
    {
        var left = new Argument<string?>("NAME") { Description = "NAME or NAME:VERSION; with --file what the description itself names when left out", Arity = ArgumentArity.ZeroOrOne };
        var right = new Argument<string?>("OTHER") { Description = "NAME or NAME:VERSION", Arity = ArgumentArity.ZeroOrOne };
        var file = new Option<string?>("--file", "-f") { Description = "A description that is not registered, in place of OTHER" };
        var command = new Command("diff", "Say in what two versions differ, or a description and what is registered; status 1 when they do") { left, right, file };
        command.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            var (one, two, description) = (parsed.GetValue(left), parsed.GetValue(right), parsed.GetValue(file));
            if (description is null ? one is null || two is null : two is not null)
                return Terminal.Misused("name two environments, or one and a description with --file");
            var (reply, status) = description is null ? await RegisteredAsync(server, one!, two!, cancel) : await DescribedAsync(server, one, description, cancel);
            if (reply is null)
                return status;
            if (Common.IsJson(parsed))
                Terminal.Json(reply, RestJson.Default.DiffReply);
            else
                foreach (var line in Lines(reply))
                    Console.WriteLine(Terminal.Safe(line));
            return reply.Differences.IsEmpty ? ExitCodes.Done : ExitCodes.AllFailed;
        });
        return command;
    }

    static IEnumerable<string> Lines(DiffReply diff)
    {
        if (diff.Differences.IsEmpty)
            yield break;
        yield return $"--- {diff.Left}";
        yield return $"+++ {diff.Right}";
        foreach (var difference in diff.Differences)
        {
            if (difference.Left.Length > 0)
                yield return $"-{difference.Key}: {difference.Left}";
            if (difference.Right.Length > 0)
                yield return $"+{difference.Key}: {difference.Right}";
        }
    }

    static async Task<(DiffReply?, int)> RegisteredAsync(Server server, string one, string two, CancellationToken cancel) => Read(
        await server.GetAsync(EnvCommands.PathOf(one, "/diff", "other=" + Uri.EscapeDataString(two)), RestJson.Default.DiffReply, cancel));

    static async Task<(DiffReply?, int)> DescribedAsync(Server server, string? name, string file, CancellationToken cancel)
    {
        var (document, named, status) = await NamedFiles.ReadAsync(file, "api/v1/environments/files", "environment.invalid", server, send: false, cancel);
        return document is null ? (null, status) : Read(
            await server.PostAsync(EnvCommands.PathOf(name ?? $"{named!.Name}:{named.Version}", "/diff"), document, RestJson.Default.ApplyBody, RestJson.Default.DiffReply, cancel));
    }

    static (DiffReply?, int) Read(Answer<DiffReply> answer) => answer.Value is { } reply ? (reply, ExitCodes.Done) : (null, Terminal.Say(answer.Problem!));

    public static Command Export()
    {
        var name = new Argument<string>("NAME") { Description = "NAME (its highest version) or NAME:VERSION" };
        var directory = new Option<string>("--out") { Description = "Directory, new or empty, for environment.yaml and the files that it names", Required = true };
        var command = new Command("export", "Write the description and all files of an environment, so that 'ka env apply' makes it again") { name, directory };
        command.SetAction(async (parsed, cancel) =>
        {
            var into = parsed.GetValue(directory)!;
            if (Directory.Exists(into) && Directory.EnumerateFileSystemEntries(into).Any())
                return Terminal.Misused($"{into} is not empty");
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync(EnvCommands.PathOf(parsed.GetValue(name)!, "/export"), RestJson.Default.ExportReply, cancel);
            if (reply.Value is not { } export)
                return Terminal.Say(reply.Problem!);
            Directory.CreateDirectory(into);
            foreach (var (file, sha256) in export.Files.OrderBy(f => f.Key, StringComparer.Ordinal))
                if (await FetchAsync(server, $"api/v1/environments/{Uri.EscapeDataString(export.Name)}/{export.Version}/content/{sha256}", Path.Combine(into, Path.GetFileName(file)), sha256, cancel) is { } failed)
                    return failed;
            var description = Path.Combine(into, "environment.yaml");
            await File.WriteAllTextAsync(description, export.Text, cancel);
            Console.WriteLine(description);
            return ExitCodes.Done;
        });
        return command;
    }

    public static Command Collect()
    {
        var age = new Option<string>("--older-than") { Description = "Leave files that came or were asked for later than this; at least 10m", DefaultValueFactory = _ => "1d" };
        var dryRun = new Option<bool>("--dry-run") { Description = "Say what would be removed and change nothing" };
        var command = new Command("gc", "Remove files of the store that no environment, node or operation refers to (operators)") { age, dryRun };
        command.SetAction(async (parsed, cancel) =>
        {
            if (!Quantity.TryParseDuration(parsed.GetValue(age), out var span))
                return Terminal.Misused($"--older-than '{parsed.GetValue(age)}' is not {Quantity.DurationForm}");
            using var server = Common.Connect(parsed);
            var reply = await server.PostAsync("api/v1/store/collect", new CollectBody(span.TotalSeconds, parsed.GetValue(dryRun)), RestJson.Default.CollectBody, RestJson.Default.CollectReply, cancel);
            if (reply.Value is not { } found)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(found, RestJson.Default.CollectReply);
            else
                Console.WriteLine($"{(found.DryRun ? "would remove" : "removed")} {found.Files.Length} file(s), {Terminal.Size(found.Bytes)}; {found.Kept} stay, {Terminal.Size(found.KeptBytes)}; the store holds {Terminal.Size(found.StoreBytes)}{(found.LimitBytes is { } limit ? " of " + Terminal.Size(limit) : "")}");
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>Null when the file is there and has its digest; else the exit status, with the reason said and nothing left.</summary>
    static async Task<int?> FetchAsync(Server server, string route, string path, string sha256, CancellationToken cancel)
    {
        string actual;
        await using (var file = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite))
        {
            if (await server.FetchAsync(route, file, cancel) is { } problem)
            {
                File.Delete(path);
                return Terminal.Say(problem);
            }
            file.Position = 0;
            actual = Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel));
        }
        if (actual == sha256)
            return null;
        File.Delete(path);
        Console.Error.WriteLine($"ka: {path} came with SHA-256 {actual}, {sha256} was expected  (archive.digest_mismatch)");
        return ExitCodes.BadData;
    }
}
