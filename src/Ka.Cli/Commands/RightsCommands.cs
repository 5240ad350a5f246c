using System.Collections.Immutable;
using System.CommandLine;
using Ka.Core.Documents;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka rights grant|revoke|ls|check</c>.</summary>
static class RightsCommands
{
    public static Command Build()
    {
        var rights = new Command("rights", "Who may work on which nodes, and why");
        rights.Add(Grant());
        rights.Add(Revoke());
        rights.Add(List());
        rights.Add(Check());
        return rights;
    }

    static Command Grant()
    {
        var subject = new Argument<string>("WHO") { Description = "A user, @GROUP, or * for everybody" };
        var parts = new Option<string[]>("--partition", "-p") { Description = "Only these partitions: names of the layout, numbers or /dev/sda3", AllowMultipleArgumentsPerToken = true };
        var from = new Option<string?>("--from") { Description = "When it begins (default: now): " + Moments.Form };
        var until = new Option<string?>("--until") { Description = "When it ends (default: never): " + Moments.Form };
        var lasting = new Option<string?>("--for") { Description = "How long it lasts, as in 10m or 8h; in place of --until" };
        var source = new Option<string?>("--source") { Description = "For what, as in job:48213; 'ka rights revoke --source' ends it" };
        var refuse = new Option<bool>("--alone") { Description = "Refuse when somebody else has a right on these nodes" };
        var overwrite = new Option<bool>("--overwrite") { Description = "Take away what others have on these nodes" };
        var share = new Option<bool>("--share") { Description = "Leave others what they have on these nodes (default)" };
        var command = new Command("grant", "Give a right") { subject, parts, from, until, lasting, source, refuse, overwrite, share };
        var selection = new Selection(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (selection.Read(parsed, out var none) is not { } nodes)
                return none;
            var now = DateTimeOffset.UtcNow;
            if (Time(parsed.GetValue(from), "--from", now, out var begin) is { } wrong || (wrong = Time(parsed.GetValue(until), "--until", now, out var end)) is not null)
                return Terminal.Misused(wrong);
            if (parsed.GetValue(lasting) is { } text)
            {
                if (end is not null || !Quantity.TryParseDuration(text, out var span))
                    return Terminal.Misused(end is not null ? "--for and --until exclude each other" : $"--for '{text}' is not {Quantity.DurationForm}");
                end = (begin ?? now) + span;
            }
            var body = new GrantBody(
                parsed.GetValue(subject)!, nodes, [.. parsed.GetValue(parts) ?? []], begin, end, parsed.GetValue(source),
                parsed.GetValue(overwrite) ? "overwrite" : parsed.GetValue(refuse) ? "refuse" : "share");
            using var server = Common.Connect(parsed);
            var reply = await server.CreateAsync("api/v1/rights", body, RestJson.Default.GrantBody, RestJson.Default.GrantedReply, cancel);
            if (reply.Value is not { } granted)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(granted, RestJson.Default.GrantedReply);
            else
                Console.WriteLine(Terminal.Safe($"{granted.Change}: {Said(granted.Grant)}{(granted.Overwritten.IsEmpty ? "" : "; overwrote " + string.Join(", ", granted.Overwritten))}"));
            return ExitCodes.Done;
        });
        return command;
    }

    static Command Revoke()
    {
        var what = new Argument<string?>("WHO") { Description = "A user, @GROUP, *, or the id of a rule (G-…)", Arity = ArgumentArity.ZeroOrOne };
        var source = new Option<string?>("--source") { Description = "Only what was given for this, as in job:48213" };
        var command = new Command("revoke", "Take rights back; operations that lived by them end within five seconds") { what, source };
        var selection = new Selection(command);
        command.SetAction(async (parsed, cancel) =>
        {
            var who = parsed.GetValue(what);
            if (!selection.TryRead(parsed, out var set, out var unread))
                return unread;
            var from = parsed.GetValue(source);
            if (who is null && from is null)
                return Terminal.Misused("say whose right ends, or --source");
            var path = who is not null && who.StartsWith("G-", StringComparison.Ordinal) && set is null && from is null
                ? "api/v1/rights/" + Uri.EscapeDataString(who)
                : "api/v1/rights?" + Query(("subject", who), ("nodes", set), ("source", from));
            using var server = Common.Connect(parsed);
            var reply = await server.DeleteAsync(path, RestJson.Default.RevokedReply, cancel);
            if (reply.Value is not { } revoked)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(revoked, RestJson.Default.RevokedReply);
            else
            {
                foreach (var grant in revoked.Revoked)
                    Console.WriteLine(Terminal.Safe("revoked: " + Said(grant)));
                if (!revoked.Operations.IsEmpty)
                    Console.Error.WriteLine($"Unless another rule allows them, these operations end within five seconds: {string.Join(", ", revoked.Operations)}");
            }
            return ExitCodes.Done;
        });
        return command;
    }

    static Command List()
    {
        var subject = new Option<string?>("--subject") { Description = "Only of this user or @GROUP" };
        var source = new Option<string?>("--source") { Description = "Only what was given for this" };
        var ended = new Option<bool>("--ended") { Description = "Also what is over or was taken back" };
        var command = new Command("ls", "List rules: yours; operators and administrators: all") { subject, source, ended };
        command.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync(
                "api/v1/rights?" + Query(("subject", parsed.GetValue(subject)), ("source", parsed.GetValue(source)), ("ended", parsed.GetValue(ended) ? "true" : null)),
                RestJson.Default.GrantReplyArray, cancel);
            if (reply.Value is not { } grants)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(grants, RestJson.Default.GrantReplyArray);
            else
                Terminal.Table(
                    ["ID", "WHO", "NODES", "PARTITIONS", "FROM", "UNTIL", "SOURCE", "STATE", "BY"],
                    grants.Select(g => new[] { g.Id, g.Subject, g.Nodes, Parts(g), At(g.From), At(g.Until), g.Source ?? "", g.State, g.GrantedBy }));
            return ExitCodes.Done;
        });
        return command;
    }

    static Command Check()
    {
        var subject = new Argument<string>("WHO") { Description = "A user; - for yourself" };
        var action = new Argument<string>("ACTION") { Description = "deploy, reboot, power or console" };
        var nodes = new Option<string>("--nodes", "-w") { Description = "Node set", Required = true };
        var partition = new Option<string?>("--partition", "-p") { Description = "Of this partition only; a deployment writes the whole disk unless it is told not to" };
        var command = new Command("check", "Say whether somebody may do something, and which rule decides") { subject, action, nodes, partition };
        command.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync(
                "api/v1/rights/check?" + Query(
                    ("subject", parsed.GetValue(subject) is "-" ? null : parsed.GetValue(subject)), ("action", parsed.GetValue(action)), ("nodes", parsed.GetValue(nodes)), ("partition", parsed.GetValue(partition))),
                RestJson.Default.CheckReply, cancel);
            if (reply.Value is not { } check)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(check, RestJson.Default.CheckReply);
            else
                foreach (var part in check.Parts)
                    Console.WriteLine(Terminal.Safe($"{(part.Allowed ? "allowed" : "denied ")}  {part.Nodes}  {part.Reason}"));
            return check.Allowed ? ExitCodes.Done : ExitCodes.NoRight;
        });
        return command;
    }

    static string Said(GrantReply g) =>
        $"{g.Id} {g.Subject} on {g.Nodes}{(g.Partitions.IsEmpty ? "" : " partition " + Parts(g))}{(g.From is null ? "" : " from " + At(g.From))}{(g.Until is null ? "" : " until " + At(g.Until))}{(g.Source is null ? "" : " for " + g.Source)}";

    static string Parts(GrantReply g) => g.Partitions.IsEmpty ? "*" : string.Join(',', g.Partitions);

    static string At(DateTimeOffset? at) => at?.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss") ?? "";

    internal static string Query(params (string Key, string? Value)[] pairs) =>
        string.Join('&', pairs.Where(p => p.Value is not null).Select(p => $"{p.Key}={Uri.EscapeDataString(p.Value!)}"));

    /// <summary>Null when the time is good or absent.</summary>
    static string? Time(string? text, string option, DateTimeOffset now, out DateTimeOffset? at)
    {
        at = text is not null && Moments.TryParse(text, now, out var parsed) ? parsed : null;
        return text is null || at is not null ? null : $"{option} '{text}' is not {Moments.Form}";
    }
}
