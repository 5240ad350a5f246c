using System.Net;
using System.Text;
using System.Text.Json;

namespace Ka.Lab;

/// <summary>How a simulated BMC behaves.</summary>
public enum RedfishManner
{
    Honest,

    /// <summary>Says that all is done and does nothing.</summary>
    Lies,

    /// <summary>Takes a request and never answers.</summary>
    Hangs,

    /// <summary>Takes no credential.</summary>
    RefusesCredential,

    /// <summary>Answers with status 500.</summary>
    Fails,

    /// <summary>Answers with something that is no JSON.</summary>
    Garbage,

    /// <summary>Sends a body without end.</summary>
    Endless,

    /// <summary>Sends to another host.</summary>
    Redirects,
}

/// <summary>Where a simulated machine has its light.</summary>
public enum RedfishLamp
{
    System,

    /// <summary>By the older property.</summary>
    OldSystem,

    /// <summary>By the older property, which says that it cannot blink.</summary>
    OldWithoutBlinking,

    /// <summary>Only its chassis has one.</summary>
    Chassis,
    None,
}

/// <summary>What a simulated BMC answers.</summary>
public sealed record RedfishAnswer(HttpStatusCode Status, string Body = "", string? Location = null);

/// <summary>
/// The Redfish tree of one machine (DSP0266, ComputerSystem of DSP0268): power, reset and boot override, with what is needed to be found
/// out when it lies. Only the state; <see cref="RedfishListener"/> puts it on a socket.
/// </summary>
public sealed class RedfishSimulator(string user, string password)
{
    const string ChassisPath = "/redfish/v1/Chassis/1";

    const string SystemPath = "/redfish/v1/Systems/1", ResetPath = SystemPath + "/Actions/ComputerSystem.Reset";

    readonly string _credential = "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}"));

    public RedfishManner Manner { get; set; }

    /// <summary>Whether the machine has power.</summary>
    public bool IsOn { get; set; }

    /// <summary>What the next start boots, once: <c>None</c>, <c>Pxe</c>, …</summary>
    public string BootOnce { get; private set; } = "None";

    /// <summary>The values of ResetType that the BMC says it knows.</summary>
    public string[] ResetTypes { get; set; } = ["On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle"];

    public RedfishLamp Lamp { get; set; }

    /// <summary>Whether the light is on.</summary>
    public bool LightOn { get; set; }

    /// <summary>Every change that was asked for, in order: a ResetType, <c>Boot:TARGET</c> or <c>Light:PROPERTY:VALUE</c>.</summary>
    public List<string> Changes { get; } = [];

    /// <summary>Every request that came.</summary>
    public int Requests { get; private set; }

    /// <param name="authorization">The header, or null.</param>
    public RedfishAnswer Answer(string method, string path, string? authorization, string body)
    {
        Requests++;
        switch (Manner)
        {
            case RedfishManner.Fails:
                return new RedfishAnswer(HttpStatusCode.InternalServerError, """{"error":{"message":"internal"}}""");
            case RedfishManner.Garbage:
                return new RedfishAnswer(HttpStatusCode.OK, "<html>busy");
            case RedfishManner.Redirects:
                return new RedfishAnswer(HttpStatusCode.Found, "", "https://127.0.0.9/redfish/v1/Systems");
            case RedfishManner.RefusesCredential:
                return new RedfishAnswer(HttpStatusCode.Unauthorized);
            case RedfishManner.Honest:
            case RedfishManner.Lies:
            case RedfishManner.Hangs:
            case RedfishManner.Endless:
                return authorization == _credential ? Answer(method, path, body) : new RedfishAnswer(HttpStatusCode.Unauthorized);
            default:
                throw new InvalidOperationException($"manner {Manner}");
        }
    }

    RedfishAnswer Answer(string method, string path, string body)
    {
        switch (method, path)
        {
            case ("GET", "/redfish/v1/Systems"):
                return new RedfishAnswer(HttpStatusCode.OK, $$"""{"Members":[{"@odata.id":"{{SystemPath}}"}],"Members@odata.count":1}""");
            case ("GET", SystemPath):
                return new RedfishAnswer(HttpStatusCode.OK, System());
            case ("POST", ResetPath):
                return Reset(JsonElement.Parse(body).GetProperty("ResetType").GetString()!);
            case ("GET", ChassisPath):
                return new RedfishAnswer(HttpStatusCode.OK, $$"""{"@odata.id":"{{ChassisPath}}","Id":"1"{{(Lamp == RedfishLamp.Chassis ? Light() : "")}}}""");
            case ("PATCH", SystemPath or ChassisPath) when !body.Contains("\"Boot\"", StringComparison.Ordinal):
                return Shine(path, JsonElement.Parse(body).EnumerateObject().Single());
            case ("PATCH", SystemPath):
                var target = JsonElement.Parse(body).GetProperty("Boot").GetProperty("BootSourceOverrideTarget").GetString()!;
                Changes.Add("Boot:" + target);
                if (Manner != RedfishManner.Lies)
                    BootOnce = target;
                return new RedfishAnswer(HttpStatusCode.NoContent);
            default:
                return new RedfishAnswer(HttpStatusCode.NotFound, """{"error":{"message":"no such resource"}}""");
        }
    }

    RedfishAnswer Reset(string type)
    {
        if (!ResetTypes.Contains(type))
            return new RedfishAnswer(HttpStatusCode.BadRequest, """{"error":{"message":"ActionParameterNotSupported"}}""");
        Changes.Add(type);
        if (Manner != RedfishManner.Lies)
        {
            var starts = type is not ("ForceOff" or "GracefulShutdown");
            if (starts)
                BootOnce = "None";
            IsOn = starts;
        }
        return new RedfishAnswer(HttpStatusCode.NoContent);
    }

    RedfishAnswer Shine(string path, JsonProperty wish)
    {
        if (Lamp == RedfishLamp.None || path == ChassisPath != (Lamp == RedfishLamp.Chassis))
            return new RedfishAnswer(HttpStatusCode.BadRequest, """{"error":{"message":"PropertyUnknown"}}""");
        Changes.Add($"Light:{wish.Name}:{wish.Value.ToString().Replace("True", "true").Replace("False", "false")}");
        if (Manner != RedfishManner.Lies)
            LightOn = wish.Value.ValueKind == JsonValueKind.True || wish.Value.ToString() is "Blinking" or "Lit";
        return new RedfishAnswer(HttpStatusCode.NoContent);
    }

    string Light() => Lamp switch
    {
        RedfishLamp.System or RedfishLamp.Chassis => $", \"LocationIndicatorActive\": {(LightOn ? "true" : "false")}",
        RedfishLamp.OldSystem => $", \"IndicatorLED\": \"{(LightOn ? "Blinking" : "Off")}\"",
        RedfishLamp.OldWithoutBlinking => $", \"IndicatorLED\": \"{(LightOn ? "Lit" : "Off")}\", \"IndicatorLED@Redfish.AllowableValues\": [\"Lit\", \"Off\"]",
        RedfishLamp.None => "",
    };

    string System() => $$"""
        {
          "@odata.id": "{{SystemPath}}", "Id": "1", "PowerState": "{{(IsOn ? "On" : "Off")}}"{{(Lamp == RedfishLamp.Chassis ? "" : Light())}},
          "Links": { "Chassis": [{ "@odata.id": "{{ChassisPath}}" }] },
          "Boot": { "BootSourceOverrideTarget": "{{BootOnce}}", "BootSourceOverrideEnabled": "{{(BootOnce == "None" ? "Disabled" : "Once")}}" },
          "Actions": { "#ComputerSystem.Reset": { "target": "{{ResetPath}}", "ResetType@Redfish.AllowableValues": [{{string.Join(", ", ResetTypes.Select(t => $"\"{t}\""))}}] } }
        }
        """;
}
