using System.Collections.Immutable;
using Ka.Boot.Dhcp;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Boot;

namespace Ka.Server.Api;

/// <summary><c>GET /api/v1/machines</c>: who asks to boot from the network and is not in the configuration. Such a machine gets no answer there.</summary>
public static class UnknownMachines
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/api/v1/machines", List).Needs(Audience.Users, Right.Operate).Produces<ImmutableArray<UnknownMachineReply>>();

    static IResult List(UnknownMachineList list) => Results.Json(
        list.All().Select(m => new UnknownMachineReply(
            m.Mac.ToString(), FirmwareOf(m.Traits), m.Traits.Architecture, m.Traits.Uuid?.ToString(), m.Traits.Asked?.ToString(), m.FirstSeen, m.LastSeen, m.Requests)).ToImmutableArray(),
        RestJson.Default.ImmutableArrayUnknownMachineReply);

    /// <summary>As the configuration names it; of iPXE by the architecture that it sends.</summary>
    static string FirmwareOf(MachineTraits traits) => traits.Firmware switch
    {
        BootFirmware.BiosPxe => "bios",
        BootFirmware.UefiPxe or BootFirmware.UefiHttp => "uefi",
        BootFirmware.Ipxe => traits.Architecture switch { 0 => "bios", 7 or 9 or 15 or 16 => "uefi", _ => "unknown" },
        BootFirmware.Other or BootFirmware.None => "unknown",
    };
}
