using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.Faults;

namespace Ka.Drivers.Power;

/// <summary>
/// Redfish (DMTF DSP0266, DSP0268): power by <c>ComputerSystem.Reset</c>, the next boot by the one-time override, which counts only when it
/// is read back. Every exchange has a time limit, every answer a size limit, and redirects are not followed.
/// </summary>
public sealed class RedfishPower : IPowerDriver, IChassisLight
{
    const string Collection = "/redfish/v1/Systems";

    /// <summary>How long a BMC may take until an override or a light is read back, and between two looks.</summary>
    static readonly TimeSpan OverridePatience = TimeSpan.FromSeconds(5), OverridePeriod = TimeSpan.FromSeconds(1);

    /// <summary>Chassis of one system that are looked at for a light.</summary>
    const int ChassisLimit = 4;

    readonly TimeProvider _clock;
    readonly Func<PowerSettings, HttpMessageHandler> _transport;

    public RedfishPower(TimeProvider clock, Func<PowerSettings, HttpMessageHandler>? transport = null) =>
        (_clock, _transport) = (clock, transport ?? RedfishTls.Handler);

    public string Kind => "redfish";

    public TimeSpan Patience => TimeSpan.FromSeconds(30);

    public TimeSpan AskPeriod => TimeSpan.FromSeconds(1);

    public bool Knows(ClusterNode node, PowerVerb verb) => verb != PowerVerb.SoftReboot;

    public Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel) => OnSystemAsync(
        node,
        async (client, path, system) => verb switch
        {
            PowerVerb.Status => new PowerReply(null, OnOf(system)),
            PowerVerb.BootNetwork => new PowerReply(await BootNetworkAsync(client, path, system, node, cancel)),
            PowerVerb.On or PowerVerb.Off or PowerVerb.SoftOff or PowerVerb.Reset or PowerVerb.SoftReboot => new PowerReply(await ResetAsync(client, path, system, verb, cancel)),
        },
        cancel);

    public bool EndsItself => false;

    public async Task<Fault?> ShineAsync(ClusterNode node, TimeSpan? shine, CancellationToken cancel) => (await OnSystemAsync(
        node,
        async (client, path, resource) =>
        {
            foreach (var chassis in RedfishLight.Has(resource) ? [] : RedfishLight.ChassisOf(resource).Take(ChassisLimit))
            {
                path = client.Own(chassis);
                resource = await client.SendAsync(HttpMethod.Get, path, null, null, cancel);
                if (RedfishLight.Has(resource))
                    break;
            }
            return new PowerReply(RedfishLight.Has(resource)
                ? await LightAsync(client, path, resource, shine is not null, cancel)
                : Fault.Of(FaultCodes.PowerNoLight, $"neither the system nor its chassis has a light that the BMC {node.Power.Host} tells of"));
        },
        cancel)).Fault;

    /// <summary>Does something with a node's system, given with its path; what the BMC refuses is the answer.</summary>
    async Task<PowerReply> OnSystemAsync(ClusterNode node, Func<RedfishClient, string, JsonElement, Task<PowerReply>> act, CancellationToken cancel)
    {
        var (client, fault) = RedfishClient.Open(node.Power, _transport, _clock);
        if (client is null)
            return new PowerReply(fault);
        using (client)
            try
            {
                var path = await SystemPathAsync(client, node.Power.System, cancel);
                return await act(client, path, await client.SendAsync(HttpMethod.Get, path, null, null, cancel));
            }
            catch (RedfishRefusal refusal)
            {
                return new PowerReply(refusal.Fault);
            }
    }

    Task<Fault?> LightAsync(RedfishClient client, string path, JsonElement resource, bool on, CancellationToken cancel) => WishAsync(
        client, path, resource, RedfishLight.Wish(resource, on),
        now => RedfishLight.IsOn(now) == on ? null : Fault.Of(FaultCodes.PowerNoEffect, $"the BMC took the wish for the light and it is not {(on ? "on" : "off")}"),
        cancel);

    /// <summary>Changes a resource, and reads it back until it is so.</summary>
    /// <param name="missing">What is wrong with the resource as it is read back; null when it is as wished.</param>
    async Task<Fault?> WishAsync(RedfishClient client, string path, JsonElement resource, string wish, Func<JsonElement, Fault?> missing, CancellationToken cancel)
    {
        await client.SendAsync(HttpMethod.Patch, path, wish, Text(resource, "@odata.etag"), cancel);
        var end = _clock.GetTimestamp() + (long)(OverridePatience.TotalSeconds * _clock.TimestampFrequency);
        while (missing(await client.SendAsync(HttpMethod.Get, path, null, null, cancel)) is { } fault)
        {
            if (_clock.GetTimestamp() >= end)
                return fault;
            await Task.Delay(OverridePeriod, _clock, cancel);
        }
        return null;
    }

    static async Task<string> SystemPathAsync(RedfishClient client, string? name, CancellationToken cancel)
    {
        if (name is not null)
            return $"{Collection}/{Uri.EscapeDataString(name)}";
        var members = At(await client.SendAsync(HttpMethod.Get, Collection, null, null, cancel), "Members");
        if (members is not { ValueKind: JsonValueKind.Array } array || array.GetArrayLength() != 1 || Text(array[0], "@odata.id") is not { } only)
            throw RedfishRefusal.Bad("the BMC has not exactly one system: name it with 'system'", members?.GetRawText());
        return client.Own(only);
    }

    /// <summary>Null while it changes.</summary>
    static bool? OnOf(JsonElement system) => Text(system, "PowerState") switch
    {
        "On" => true,
        "Off" => false,
        "PoweringOn" or "PoweringOff" or "Paused" => null,
        var other => throw RedfishRefusal.Bad("the system has no PowerState that is known", other),
    };

    static async Task<Fault?> ResetAsync(RedfishClient client, string path, JsonElement system, PowerVerb verb, CancellationToken cancel)
    {
        // Several BMCs answer a wish that holds already with an error.
        if (OnOf(system) is { } on && verb is not (PowerVerb.Reset or PowerVerb.SoftReboot) && on == (verb == PowerVerb.On))
            return null;
        var action = At(At(system, "Actions"), "#ComputerSystem.Reset");
        var allowed = Allowed(action);
        if (ResetTypes(verb).FirstOrDefault(t => allowed.IsEmpty || allowed.Contains(t)) is not { } type)
            return Fault.Of(FaultCodes.PowerUnsupported, $"the BMC has none of {string.Join(", ", ResetTypes(verb))}", string.Join(", ", allowed));
        var target = Text(action, "target") is { } given ? client.Own(given) : path + "/Actions/ComputerSystem.Reset";
        await client.SendAsync(HttpMethod.Post, target, $$"""{"ResetType":"{{type}}"}""", null, cancel);
        return null;
    }

    /// <summary>The values of ResetType that do it, the best first.</summary>
    static ImmutableArray<string> ResetTypes(PowerVerb verb) => verb switch
    {
        PowerVerb.On => ["On", "ForceOn"],
        PowerVerb.Off => ["ForceOff"],
        PowerVerb.SoftOff => ["GracefulShutdown"],
        PowerVerb.Reset => ["ForceRestart", "PowerCycle"],
        PowerVerb.SoftReboot => ["GracefulRestart"],
        PowerVerb.Status or PowerVerb.BootNetwork => throw new ArgumentOutOfRangeException(nameof(verb), verb, "this is no reset"),
    };

    static ImmutableArray<string> Allowed(JsonElement? action) => At(action, "ResetType@Redfish.AllowableValues") is { ValueKind: JsonValueKind.Array } values
        ? [.. values.EnumerateArray().Where(v => v.ValueKind == JsonValueKind.String).Select(v => v.GetString()!)]
        : [];

    Task<Fault?> BootNetworkAsync(RedfishClient client, string path, JsonElement system, ClusterNode node, CancellationToken cancel)
    {
        var mode = At(At(system, "Boot"), "BootSourceOverrideMode") is null ? null : node.Firmware == "uefi" ? "UEFI" : "Legacy";
        var wish = "\"BootSourceOverrideTarget\":\"Pxe\",\"BootSourceOverrideEnabled\":\"Once\"" + (mode is null ? "" : $",\"BootSourceOverrideMode\":\"{mode}\"");
        return WishAsync(client, path, system, $$$"""{"Boot":{{{{wish}}}}}""", now => Missing(At(now, "Boot")), cancel);

        Fault? Missing(JsonElement? boot) =>
            Text(boot, "BootSourceOverrideTarget") == "Pxe" && Text(boot, "BootSourceOverrideEnabled") == "Once" && (mode is null || Text(boot, "BootSourceOverrideMode") == mode)
                ? null
                : Fault.Of(FaultCodes.PowerNoEffect, "the BMC took the one-time boot from the network and does not have it", boot?.GetRawText());
    }

    static JsonElement? At(JsonElement? from, string name) =>
        from is { ValueKind: JsonValueKind.Object } holder && holder.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    static string? Text(JsonElement? from, string name) => At(from, name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;
}
