using System.Collections.Immutable;
using Ka.Boot.Dhcp;
using Ka.Core.BootProfiles;

namespace Ka.Server.Boot;

/// <summary>A machine that asked to boot from the network and that no cluster has.</summary>
/// <param name="Requests">How often it asked.</param>
public sealed record UnknownMachine(MacAddress Mac, MachineTraits Traits, DateTimeOffset FirstSeen, DateTimeOffset LastSeen, int Requests);

/// <summary>The unknown machines that were seen since the server started; whoever was silent longest gives way when there are too many.</summary>
public sealed class UnknownMachineList
{
    /// <summary>Addresses can be made up: memory stays bounded.</summary>
    public const int Limit = 1024;

    readonly Lock _gate = new();
    readonly Dictionary<MacAddress, UnknownMachine> _seen = [];

    public void Saw(MacAddress mac, MachineTraits traits, DateTimeOffset at)
    {
        lock (_gate)
        {
            if (_seen.TryGetValue(mac, out var known))
            {
                // iPXE tells less than the firmware that loaded it.
                var merged = new MachineTraits(
                    traits.Firmware == BootFirmware.Ipxe ? known.Traits.Firmware : traits.Firmware, traits.Architecture ?? known.Traits.Architecture, traits.Uuid ?? known.Traits.Uuid, traits.Asked ?? known.Traits.Asked);
                _seen[mac] = known with { Traits = merged, LastSeen = at, Requests = known.Requests + 1 };
                return;
            }
            if (_seen.Count == Limit)
                _seen.Remove(_seen.Values.MinBy(m => m.LastSeen)!.Mac);
            _seen.Add(mac, new UnknownMachine(mac, traits, at, at, 1));
        }
    }

    /// <summary>In the order in which they were first seen.</summary>
    public ImmutableArray<UnknownMachine> All()
    {
        lock (_gate)
            return [.. _seen.Values.OrderBy(m => m.FirstSeen).ThenBy(m => m.Mac.Bits)];
    }
}
