using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.Faults;

namespace Ka.Drivers.Power;

/// <summary>A driver whose counterpart has the light by which a person finds the machine in its rack.</summary>
public interface IChassisLight
{
    /// <summary>Whether the light goes out by itself at its time; else it must be switched off.</summary>
    bool EndsItself { get; }

    /// <param name="shine">1 to 255 s; null switches it off.</param>
    /// <returns>Null when it does as asked.</returns>
    Task<Fault?> ShineAsync(ClusterNode node, TimeSpan? shine, CancellationToken cancel);
}

/// <summary>What of Redfish is about the light: a property of the system, else of its chassis; <c>LocationIndicatorActive</c>, else the older <c>IndicatorLED</c>.</summary>
static class RedfishLight
{
    const string New = "LocationIndicatorActive", Old = "IndicatorLED";

    /// <summary>Whether a resource has a light at all.</summary>
    public static bool Has(JsonElement resource) => IsOn(resource) is not null;

    /// <summary>The change that is asked for.</summary>
    public static string Wish(JsonElement resource, bool on) => resource.TryGetProperty(New, out var light) && light.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? $$"""{"{{New}}":{{(on ? "true" : "false")}}}"""
        : $$"""{"{{Old}}":"{{(!on ? "Off" : Allowed(resource) is { IsEmpty: false } words && !words.Contains("Blinking") ? "Lit" : "Blinking")}}"}""";

    /// <summary>Null when it is not said.</summary>
    public static bool? IsOn(JsonElement resource)
    {
        if (resource.ValueKind != JsonValueKind.Object)
            return null;
        if (resource.TryGetProperty(New, out var light) && light.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return light.ValueKind == JsonValueKind.True;
        return resource.TryGetProperty(Old, out var led) && led.ValueKind == JsonValueKind.String
            ? led.GetString() switch { "Blinking" or "Lit" => true, "Off" => false, _ => null }
            : null;
    }

    /// <summary>The chassis that the system names, in its order.</summary>
    public static ImmutableArray<string> ChassisOf(JsonElement system) =>
        system.ValueKind == JsonValueKind.Object && system.TryGetProperty("Links", out var links) && links.ValueKind == JsonValueKind.Object
        && links.TryGetProperty("Chassis", out var all) && all.ValueKind == JsonValueKind.Array
            ? [.. all.EnumerateArray().Where(c => c.ValueKind == JsonValueKind.Object).Select(c => c.TryGetProperty("@odata.id", out var id) && id.ValueKind == JsonValueKind.String ? id.GetString() : null).OfType<string>()]
            : [];

    static ImmutableArray<string> Allowed(JsonElement resource) => resource.TryGetProperty(Old + "@Redfish.AllowableValues", out var values) && values.ValueKind == JsonValueKind.Array
        ? [.. values.EnumerateArray().Where(v => v.ValueKind == JsonValueKind.String).Select(v => v.GetString()!)]
        : [];
}
