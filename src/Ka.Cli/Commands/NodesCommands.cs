using System.CommandLine;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka nodes ls|show|key|forget-profile|verify|identify|discover|fold|expand</c>.</summary>
static class NodesCommands
{
    public static Command Build()
    {
        var nodes = new Command("nodes", "Nodes and node sets");
        var set = new NodesOption { Description = "Only these nodes" };
        var list = new Command("ls", "List nodes") { set };
        list.SetAction((parsed, cancel) => ListAsync(parsed, set.Read(parsed), cancel));
        nodes.Add(list);
        var name = new Argument<string>("NODE") { Description = "As in gris-3" };
        var show = new Command("show", "Show one node with what its agent saw") { name };
        show.SetAction((parsed, cancel) => ShowAsync(parsed, parsed.GetValue(name)!, cancel));
        nodes.Add(show);
        var locked = new Argument<string>("NODE") { Description = "As in gris-3" };
        var key = new Command("key", "Print the key of a node's encrypted disk, to be typed at its console") { locked };
        key.SetAction((parsed, cancel) => KeyAsync(parsed, parsed.GetValue(locked)!, cancel));
        nodes.Add(key);
        var profiled = new NodesOption { Description = "Nodes that boot a profile of a deployment from the network", Required = true };
        var forget = new Command("forget-profile", "Let nodes boot their local disks again") { profiled };
        forget.SetAction((parsed, cancel) => ForgetAsync(parsed, profiled.Read(parsed)!, cancel));
        nodes.Add(forget);
        nodes.Add(VerifyCommand.Build());
        nodes.Add(IdentifyCommand.Build());
        nodes.Add(DiscoverCommand.Build());
        foreach (var command in NodeUseCommands.OfNodes())
            nodes.Add(command);
        nodes.Add(Text("fold", "Fold names into a node set", s => [s.ToString()]));
        nodes.Add(Text("expand", "Expand a node set into names", s => s.Select(n => n.Value)));
        return nodes;
    }

    static Command Text(string name, string description, Func<NodeSet, IEnumerable<string>> print)
    {
        var texts = new Argument<string[]>("NODES") { Arity = ArgumentArity.OneOrMore, Description = "Node sets; several are joined" };
        var command = new Command(name, description) { texts };
        command.SetAction(parsed =>
        {
            var all = NodeSet.Empty;
            foreach (var text in parsed.GetValue(texts)!)
            {
                if (!NodeSet.TryParse(text, out var set, out var error))
                {
                    Console.Error.WriteLine($"ka: {Terminal.Safe(error.ToString())}  ({error.Code})");
                    Console.Error.WriteLine($"  {Terminal.Safe(text)}\n  {new string(' ', Math.Min(error.Position, 200))}^{(error.Expected is null ? "" : " expected " + error.Expected)}");
                    return ExitCodes.BadData;
                }
                all |= set;
            }
            foreach (var line in print(all))
                Console.WriteLine(line);
            return ExitCodes.Done;
        });
        return command;
    }

    static async Task<int> ListAsync(ParseResult parsed, string? set, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync("api/v1/nodes" + (set is null ? "" : "?nodes=" + Uri.EscapeDataString(set)), RestJson.Default.NodeReplyArray, cancel);
        if (reply.Value is not { } nodes)
            return Terminal.Say(reply.Problem!);
        switch (parsed.GetValue(Common.Output))
        {
            case OutputForm.Json:
                Terminal.Json(nodes, RestJson.Default.NodeReplyArray);
                break;
            case OutputForm.Name:
                foreach (var node in nodes)
                    Console.WriteLine(node.Name);
                break;
            case OutputForm.Nodeset:
                Console.WriteLine(NodeSet.FromNames(nodes.Select(n => NodeName.Parse(n.Name))));
                break;
            case OutputForm.Table or OutputForm.Csv:
                Terminal.Table(
                    ["NODE", "CLUSTER", "STATE", "ENVIRONMENT", "OPERATION", "FIRMWARE", "ADDRESS", "FAULT", "DRAINED"],
                    nodes.Select(n => new[] { n.Name, n.Cluster, n.State, n.Environment ?? "", n.Operation ?? "", n.Firmware, n.Address, n.Fault ?? "", n.Drained?.Reason ?? "" }));
                break;
        }
        return ExitCodes.Done;
    }

    static async Task<int> ShowAsync(ParseResult parsed, string name, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync($"api/v1/nodes/{Uri.EscapeDataString(name)}", RestJson.Default.NodeReply, cancel);
        if (reply.Value is not { } node)
            return Terminal.Say(reply.Problem!);
        Terminal.Json(node, RestJson.Default.NodeReply);
        return ExitCodes.Done;
    }

    static async Task<int> ForgetAsync(ParseResult parsed, string nodes, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.DeleteAsync("api/v1/nodes/boot-profile?nodes=" + Uri.EscapeDataString(nodes), RestJson.Default.ForgottenReply, cancel);
        if (reply.Value is not { } forgotten)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(forgotten, RestJson.Default.ForgottenReply);
        else
            Console.WriteLine(forgotten.Count == 0 ? "none of these nodes has a boot profile" : $"{forgotten.Nodes} boot from their local disks again");
        return ExitCodes.Done;
    }

    static async Task<int> KeyAsync(ParseResult parsed, string name, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync($"api/v1/nodes/{Uri.EscapeDataString(name)}/key", RestJson.Default.NodeKeyReply, cancel);
        if (reply.Value is not { } found)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(found, RestJson.Default.NodeKeyReply);
        else
            Console.WriteLine(found.Key);
        return ExitCodes.Done;
    }
}
