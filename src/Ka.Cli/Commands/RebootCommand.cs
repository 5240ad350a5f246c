using System.CommandLine;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka reboot -w NODES [--to disk|minimal|profile|ENV]</c>.</summary>
static class RebootCommand
{
    /// <summary>Exit statuses that batch schedulers know from Kadeploy3: not rebooted, deploy again; destructive, deploy again.</summary>
    public const int NotRebooted = 1, WasDestructive = 2;

    public static Command Build()
    {
        var command = new Command("reboot", "Reboot nodes into what is on their disk, the minimal environment, or a boot profile");
        var selection = new Selection(command);
        var to = new Option<string?>("--to") { Description = "disk (default), minimal, or the environment that was deployed there, as NAME or NAME:VERSION" };
        var profile = new Option<string?>("--boot-profile") { Description = "File (YAML, or PXELINUX's words) with the kernel that the nodes boot from the network until another operation" };
        var level = new Option<string>("--level", "-l") { Description = "How roughly it begins: soft, hard or very-hard", DefaultValueFactory = _ => "soft" };
        level.AcceptOnlyFromAmong("soft", "hard", "very-hard");
        var keys = new Option<string?>("--key", "-k") { Description = "Public ssh keys for root of the minimal environment (default: your own)", Arity = ArgumentArity.ZeroOrOne };
        var check = new Option<bool>("--check-destructive", "-c")
        {
            Description = "Refuse with status 2 when the last environment on any node is destructive; then 1 also means that some node failed, and 0 that all are rebooted",
        };
        var drained = new Option<bool>("--drained") { Description = "Also nodes that are out of use (operators)" };
        var vlan = new Option<string?>("--vlan") { Description = "Put the nodes into this VLAN when they boot" };
        foreach (var option in (Option[])[to, profile, level, keys, check, drained, vlan])
            command.Add(option);
        var manner = new Manner(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (selection.Read(parsed, out var wrong) is not { } nodes)
                return wrong;
            if (AuthorizedKeys.Read(parsed.GetResult(keys) is not null, parsed.GetValue(keys)) is not { } authorized)
                return ExitCodes.BadData;
            using var server = Common.Connect(parsed);
            var target = parsed.GetValue(to);
            var named = target is null or "disk" or "minimal";
            var body = new RebootBody(nodes, DryRun: false)
            {
                To = named ? target : "environment",
                Environment = named ? null : target,
                Level = parsed.GetValue(level),
                AuthorizedKeys = authorized,
                CheckDestructive = parsed.GetValue(check),
                Drained = parsed.GetValue(drained),
                Vlan = parsed.GetValue(vlan),
            };
            if (parsed.GetValue(profile) is { } file)
            {
                var (document, unread) = await NamedFiles.SendAsync(file, "api/v1/deployments/boot-profile/files", "profile.invalid", server, cancel);
                if (document is null)
                    return unread;
                body = body with { BootProfile = document, To = target is null ? "profile" : body.To };
            }
            var destructive = false;
            var status = await manner.CarryOutAsync(
                server, parsed, "reboot",
                async dryRun =>
                {
                    var answer = await server.CreateAsync("api/v1/reboots", body with { DryRun = dryRun }, RestJson.Default.RebootBody, RestJson.Default.OperationReply, cancel);
                    destructive |= answer.Problem is { Code: "reboot.destructive" };
                    return answer;
                },
                cancel);
            return !parsed.GetValue(check) ? status : destructive ? WasDestructive : status == ExitCodes.SomeFailed ? NotRebooted : status;
        });
        return command;
    }
}
