namespace Ka.Lab;

/// <summary>
/// ipmi_sim's words for a machine: "get PARAMETER…" prints "parameter:value" lines, "set PARAMETER VALUE …" acts. Several
/// pairs may come in one call.
/// </summary>
public static class Chassis
{
    public static async Task<int> Do(VirtualMachine machine, string[] words, CancellationToken cancel)
    {
        switch (words)
        {
            case ["get", .. var names]:
                foreach (var name in names)
                    Console.WriteLine($"{name}:{Get(machine, name)}");
                return 0;
            case ["set", .. var pairs] when pairs.Length % 2 == 0:
                foreach (var pair in pairs.Chunk(2))
                    await Set(machine, pair[0], pair[1], cancel);
                return 0;
            default:
                throw new LabException($"'{string.Join(' ', words)}' is no chassis call; expected: get NAME… | set NAME VALUE …", 2);
        }
    }

    private static string Get(VirtualMachine machine, string name) => name switch
    {
        "power" => machine.IsOn ? "1" : "0",
        "boot" => machine.BootDevice,
        _ => throw new LabException($"The chassis has no '{name}'.", 2),
    };

    private static Task Set(VirtualMachine machine, string name, string value, CancellationToken cancel)
    {
        switch (name, value)
        {
            case ("power", "1"):
                return machine.PowerOn(cancel);
            case ("power", "0"):
                return machine.PowerOff(cancel);
            case ("reset", _):
                return machine.Reset(cancel);
            case ("shutdown", _):
                return machine.SoftOff(cancel);
            case ("boot", _):
                machine.SetBootDevice(value);
                return Task.CompletedTask;
            case ("identify", _):
                return Task.CompletedTask;
            default:
                throw new LabException($"The chassis cannot set '{name}' to '{value}'.", 2);
        }
    }
}
