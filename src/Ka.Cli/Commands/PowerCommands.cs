using System.CommandLine;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka power on|off|cycle|status</c>.</summary>
static class PowerCommands
{
    public static Command Build()
    {
        var power = new Command("power", "Switch nodes on and off, and see which are on");
        power.Add(Change("on", "Switch nodes on"));
        power.Add(Change("off", "Switch nodes off; a soft level asks their system first"));
        power.Add(Change("cycle", "Switch nodes off and on again"));
        var status = new Command("status", "Ask each node's power");
        var selection = new Selection(status);
        status.SetAction((parsed, cancel) => StatusAsync(parsed, selection, cancel));
        power.Add(status);
        return power;
    }

    static Command Change(string action, string description)
    {
        var command = new Command(action, description);
        var selection = new Selection(command);
        var level = new Option<string>("--level", "-l") { Description = "How roughly it begins: soft, hard or very-hard", DefaultValueFactory = _ => "soft" };
        level.AcceptOnlyFromAmong("soft", "hard", "very-hard");
        var drained = new Option<bool>("--drained") { Description = "Also nodes that are out of use (operators)" };
        command.Add(level);
        command.Add(drained);
        var manner = new Manner(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (selection.Read(parsed, out var wrong) is not { } nodes)
                return wrong;
            using var server = Common.Connect(parsed);
            var body = new PowerBody(nodes, action, parsed.GetValue(level), manner.DryRun(parsed)) { Drained = parsed.GetValue(drained) };
            return await manner.CarryOutAsync(
                server, parsed, $"switch {action}",
                dryRun => server.CreateAsync("api/v1/power", body with { DryRun = dryRun }, RestJson.Default.PowerBody, RestJson.Default.OperationReply, cancel), cancel);
        });
        return command;
    }

    static async Task<int> StatusAsync(ParseResult parsed, Selection selection, CancellationToken cancel)
    {
        if (selection.Read(parsed, out var wrong) is not { } nodes)
            return wrong;
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync("api/v1/power?nodes=" + Uri.EscapeDataString(nodes), RestJson.Default.PowerReplyArray, cancel);
        if (reply.Value is not { } states)
            return Terminal.Say(reply.Problem!);
        switch (parsed.GetValue(Common.Output))
        {
            case OutputForm.Json:
                Terminal.Json(states, RestJson.Default.PowerReplyArray);
                break;
            case OutputForm.Name:
                foreach (var state in states)
                    Console.WriteLine($"{state.Node} {state.Power}");
                break;
            case OutputForm.Nodeset or OutputForm.Table or OutputForm.Csv:
                foreach (var alike in states.GroupBy(s => (s.Power, s.Code, s.Message)).OrderBy(g => g.Key.Power, StringComparer.Ordinal))
                    Console.WriteLine(Terminal.Safe(
                        $"{alike.Key.Power,-8} {NodeSet.FromNames(alike.Select(s => NodeName.Parse(s.Node)))}{(alike.Key.Code is { } code ? $"  {alike.Key.Message}  ({code})" : "")}"));
                break;
        }
        var unknown = states.Count(s => s.Power == "unknown");
        return unknown == 0 ? ExitCodes.Done : unknown == states.Length ? ExitCodes.AllFailed : ExitCodes.SomeFailed;
    }
}
