using System.CommandLine;
using Ka.Core.Documents;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka nodes identify NODES [--for 60s] [--off]</c>.</summary>
static class IdentifyCommand
{
    public static Command Build()
    {
        var nodes = new Argument<string>("NODES") { Description = "Node set" };
        var time = new Option<string?>("--for") { Description = "How long, 1s to 255s (default 60s)" };
        var off = new Option<bool>("--off") { Description = "Switch it off" };
        var command = new Command("identify", "Switch on the light by which a machine is found in its rack") { nodes, time, off };
        command.SetAction(async (parsed, cancel) =>
        {
            var duration = TimeSpan.Zero;
            if (parsed.GetValue(time) is { } text && (parsed.GetValue(off) || !Quantity.TryParseDuration(text, out duration) || duration.TotalSeconds is < 1 or > 255))
                return Terminal.Misused($"--for '{text}' is not 1s to 255s, or stands beside --off");
            using var server = Common.Connect(parsed);
            var reply = await server.PostAsync(
                "api/v1/nodes/identify", new IdentifyBody(parsed.GetValue(nodes)!, parsed.GetValue(off), duration == TimeSpan.Zero ? null : (int)Math.Ceiling(duration.TotalSeconds)),
                RestJson.Default.IdentifyBody, RestJson.Default.LightReplyArray, cancel);
            if (reply.Value is not { } lights)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(lights, RestJson.Default.LightReplyArray);
            else
                foreach (var alike in lights.GroupBy(l => (l.Light, l.Code, l.Message)).OrderBy(g => g.Key.Light, StringComparer.Ordinal))
                    Console.WriteLine(Terminal.Safe(
                        $"{alike.Key.Light,-8} {NodeSet.FromNames(alike.Select(l => NodeName.Parse(l.Node)))}{(alike.Key.Code is { } code ? $"  {alike.Key.Message}  ({code})" : "")}"));
            var unknown = lights.Count(l => l.Code is not null);
            return unknown == 0 ? ExitCodes.Done : unknown == lights.Length ? ExitCodes.AllFailed : ExitCodes.SomeFailed;
        });
        return command;
    }
}
