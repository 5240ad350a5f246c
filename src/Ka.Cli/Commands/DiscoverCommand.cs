using System.Collections.Immutable;
using System.CommandLine;
using System.Net;
using Ka.Core.BootProfiles;
using Ka.Core.Documents;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka nodes discover</c>: machines that ask to boot and are not in the configuration, and the lines that put them there.</summary>
static class DiscoverCommand
{
    static readonly TimeSpan WatchPeriod = TimeSpan.FromSeconds(1);

    public static Command Build()
    {
        var watch = new Option<bool>("--watch") { Description = "Go on, and print each machine when it is first seen" };
        var accept = new Option<string[]>("--accept") { Description = "Print the lines of these machines for 'ka nodes import': MAC=NAME", AllowMultipleArgumentsPerToken = true };
        var all = new Option<string?>("--accept-as") { Description = "Print the lines of all machines under these names, in the order in which they were first seen: a node set" };
        var first = new Option<string?>("--addresses") { Description = "The address of the first of them, counted up for the others (default: the one that each asks for)" };
        var command = new Command("discover", "List machines that ask to boot from the network and are not in the configuration") { watch, accept, all, first };
        command.SetAction(async (parsed, cancel) =>
        {
            var chosen = parsed.GetValue(accept) ?? [];
            if (chosen.Length > 0 && parsed.GetValue(all) is not null || parsed.GetValue(watch) && (chosen.Length > 0 || parsed.GetValue(all) is not null))
                return Terminal.Misused("--watch, --accept and --accept-as go one at a time");
            using var server = Common.Connect(parsed);
            if (parsed.GetValue(watch))
                return await WatchAsync(() => server.GetAsync("api/v1/machines", RestJson.Default.UnknownMachineReplyArray, cancel), Common.IsJson(parsed), TimeProvider.System, cancel);
            var reply = await server.GetAsync("api/v1/machines", RestJson.Default.UnknownMachineReplyArray, cancel);
            if (reply.Value is not { } seen)
                return Terminal.Say(reply.Problem!);
            if (chosen.Length == 0 && parsed.GetValue(all) is null)
            {
                StatsCommands.Print(parsed, seen, RestJson.Default.UnknownMachineReplyArray, Heads, Fields);
                return ExitCodes.Done;
            }
            var (lines, refusal) = Inventory(seen, chosen, parsed.GetValue(all), parsed.GetValue(first));
            if (refusal is not null)
                return Terminal.Misused(refusal);
            foreach (var line in lines)
                Console.WriteLine(line);
            return ExitCodes.Done;
        });
        return command;
    }

    static readonly string[] Heads = ["MAC", "FIRMWARE", "ARCH", "UUID", "ASKED", "FIRST_SEEN", "LAST_SEEN", "REQUESTS"];

    static string[] Fields(UnknownMachineReply m) =>
        [m.Mac, m.Firmware, m.Architecture?.ToString() ?? "", m.Uuid ?? "", m.Asked ?? "", StatsCommands.At(m.FirstSeen), StatsCommands.At(m.LastSeen), m.Requests.ToString()];

    /// <summary>Until it is cancelled, or the server does not answer.</summary>
    internal static async Task<int> WatchAsync(Func<Task<Answer<UnknownMachineReply[]>>> ask, bool json, TimeProvider clock, CancellationToken cancel)
    {
        var told = new HashSet<string>(StringComparer.Ordinal);
        while (true)
        {
            var reply = await ask();
            if (reply.Value is not { } seen)
                return Terminal.Say(reply.Problem!);
            foreach (var machine in seen.Where(m => told.Add(m.Mac)))
                Console.WriteLine(json
                    ? System.Text.Json.JsonSerializer.Serialize(machine, RestJson.Default.UnknownMachineReply)
                    : Terminal.Safe($"{StatsCommands.At(machine.FirstSeen)}  {machine.Mac}  {machine.Firmware}  {machine.Uuid ?? "-"}  {machine.Asked ?? "-"}"));
            await Task.Delay(WatchPeriod, clock, cancel);
        }
    }

    /// <summary>Lines of CSV as <c>ka nodes import</c> reads them; a machine without an address has none there and is refused by the import.</summary>
    internal static (ImmutableArray<string> Lines, string? Refusal) Inventory(UnknownMachineReply[] seen, string[] chosen, string? names, string? first)
    {
        var pairs = new List<(UnknownMachineReply Machine, string Name)>();
        if (names is not null)
        {
            if (!NodeSet.TryParse(names, out var set, out var error))
                return ([], $"--accept-as: {error}");
            if (set.Count < seen.Length)
                return ([], $"{seen.Length} machines are unknown, and '{DocumentError.Cut(names)}' has {set.Count} names");
            pairs.AddRange(seen.Zip(set.Select(n => n.Value)));
        }
        foreach (var pair in chosen)
        {
            if (pair.Split('=', 2) is not [var text, var name] || !MacAddress.TryParse(text, out var mac) || !NodeName.TryParse(name, out _))
                return ([], $"--accept '{DocumentError.Cut(pair)}' is not MAC=NAME");
            if (seen.FirstOrDefault(m => m.Mac == mac.ToString()) is not { } machine)
                return ([], $"no unknown machine has the address {mac}");
            pairs.Add((machine, name));
        }
        if (pairs.GroupBy(p => p.Name).Concat(pairs.GroupBy(p => p.Machine.Mac)).FirstOrDefault(g => g.Count() > 1) is { } twice)
            return ([], $"{twice.Key} stands twice");
        uint? next = null;
        if (first is not null)
        {
            if (!IPAddress.TryParse(first, out var address) || address.GetAddressBytes() is not { Length: 4 } bytes)
                return ([], $"--addresses '{DocumentError.Cut(first)}' is no IPv4 address");
            next = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(bytes);
        }
        return ([
            Csv.Line("name", "mac", "address", "firmware"),
            .. pairs.Select((p, i) => Csv.Line(p.Name, p.Machine.Mac, next is { } n ? Dotted(n + (uint)i) : p.Machine.Asked ?? "", p.Machine.Firmware == "unknown" ? "" : p.Machine.Firmware)),
        ], null);
    }

    static string Dotted(uint address) => $"{address >> 24}.{(address >> 16) & 255}.{(address >> 8) & 255}.{address & 255}";
}
